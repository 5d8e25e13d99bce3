"""Adapting neurons beside simulations, and beside the same neuron with the mean of its adaptation in the drive."""

import pytest
import torch

import ranvier as rv
from tests.theory.beside import gradient_is_that_of_differences


class AdaptiveLIF(rv.Neuron):
    """A user's own: an adaptation in mV."""

    equations = rv.Equations(
        """dV/dt = (E_L - V + drive + I - w)/tau_m + noise*sqrt(2/tau_m)*xi : mV
        dw/dt = -w/tau_w : mV""",
        threshold="V >= V_th", reset="V = V_reset; w = w + b", refractory="t_ref",
    )  # fmt: skip
    initial = {"V": "E_L"}
    tau_m: float = 20.0
    E_L: float = -65.0
    V_th: float = -50.0
    V_reset: float = -60.0
    t_ref: float = 2.0
    tau_w: float = 200.0
    b: float = 1.0


def network(neuron, size=100, **parameters):
    net = rv.Network()
    net.add(neuron, size, **({"noise": 4.0} | parameters))
    return net


@pytest.mark.parametrize(
    ("neuron", "drive"), [(AdaptiveLIF(), 16.0), (AdaptiveLIF(tau_w=50.0), 14.0), (rv.AdEx(), 25.0)]
)
def test_beside_simulations(neuron, drive):
    """In 700 s: rates off by 1 to 4 %, variances of counts by 1 to 9 %; without the spikes' action back on the neuron
    the variance would be 2 to 4 times as large."""
    net = network(neuron, drive=drive)
    prediction = rv.predict(net, dt=0.05)
    recording = rv.simulate(net, 4000.0, dt=0.05, seed=1).after(1000.0)
    r = float(recording.rates().mean())
    assert float(prediction.rates()[0]) == pytest.approx(r, rel=0.05)
    assert abs(float(prediction.rates()[0]) - r) < float(prediction.report.rate_error[0]) + 0.01 * r
    variance = float(recording.covariance(300.0).diagonal().mean())
    assert float(prediction.covariance(300.0, neurons=[0])) == pytest.approx(variance, rel=0.15)
    assert "adaptation by its mean" in str(prediction.report)


def test_the_mean_of_the_adaptation_acts_as_drive():
    r = float(rv.predict(network(AdaptiveLIF(), 1, drive=16.0)).rates())
    plain = rv.LIF(V_reset=-60.0)
    by_hand = float(rv.predict(network(plain, 1, drive=16.0 - 200.0 * 1.0 * r / 1000)).rates())
    assert r == pytest.approx(by_hand, rel=1e-6)
    assert r < 0.7 * float(rv.predict(network(plain, 1, drive=16.0)).rates())


def test_gradients():
    def rate(x):
        return rv.predict(network(AdaptiveLIF(b=x[0], tau_w=x[1]), 1, drive=x[2]), N=1000).rates().sum()

    gradient_is_that_of_differences(rate, torch.tensor([1.0, 200.0, 16.0]).double(), rel=1e-4)
    weight = torch.tensor(4.0, dtype=torch.float64, requires_grad=True)
    with pytest.raises(ValueError, match=r"a != 0.*no gradients"):
        rv.predict(network(rv.AdEx(a=weight), 1, drive=20.0))


def test_refusals():
    with pytest.raises(ValueError, match="follows the voltage 1 times as strongly as the leak"):
        rv.predict(network(rv.Izhikevich(), drive=5.0))  # 10 Hz would be the answer, 15 are simulated
    with pytest.raises(ValueError, match="adapts"):
        rv.theory.predict_populations(network(rv.AdEx(), drive=20.0))
    with pytest.raises(ValueError, match="order is 2 and there is adaptation"):
        rv.predict(network(AdaptiveLIF(), drive=16.0), order=2)
