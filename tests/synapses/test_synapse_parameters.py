"""Synapses whose parameters are learnt: tensors () that require a gradient."""

import math

import pytest
import torch

import ranvier as rv
from ranvier.theory.network.filters import synapse_filter

F64 = torch.float64


def leaf(value):
    return torch.tensor(value, dtype=F64, requires_grad=True)


def test_equal_means_the_same_tensor():
    tau = leaf(5.0)
    one, same, other = rv.Exponential(tau=tau), rv.Exponential(tau=tau), rv.Exponential(tau=leaf(5.0))
    assert one == same and hash(one) == hash(same)
    assert one != other and one != rv.Exponential(tau=5.0)
    assert rv.Exponential(tau=5.0) == rv.Exponential(tau=5) and hash(rv.Exponential()) == hash(rv.Exponential(tau=5.0))
    assert rv.Exponential(tau=5.0) != rv.Alpha(tau=5.0)
    assert rv.Exponential(tau=5.0) != rv.Exponential(tau=5.0, normalise="peak")


def test_numbers_stay_numbers():
    assert rv.Exponential(tau=torch.tensor(4.0)).tau == 4.0 and type(rv.Exponential(tau=torch.tensor(4.0)).tau) is float
    s = rv.AlphaConductance(tau=leaf(4.0), E_rev=-80.0)
    assert s.parameters == {"tau": s.tau, "E_rev": -80.0} and s.numbers == {"tau": 4.0, "E_rev": -80.0}
    with pytest.raises(ValueError, match=r"tau of Exponential has shape .*expected one number.*different projections"):
        rv.Exponential(tau=torch.ones(3, requires_grad=True))
    with pytest.raises(ValueError, match=r"tau of Exponential is -1 ms; .* optimiser"):
        rv.Exponential(tau=leaf(-1.0))


@pytest.mark.parametrize(("rise", "decay"), [(1.0, 6.0), (6.0, 1.0), (3.0, 3.0), (3.0, 3.0001)])
def test_slope_of_a_biexponential_s_peak(rise, decay):
    """The area of a kernel of peak 1, against the largest value of the kernel itself."""
    times = [leaf(rise), leaf(decay)]

    def area(a, b):
        return synapse_filter(rv.BiExponential(tau_rise=a, tau_decay=b, normalise="peak")).area

    grads = torch.autograd.grad(area(*times), times)

    def by_hand(a, b):
        if abs(a - b) < 1e-9:
            return math.e * a
        at = math.log(b / a) * a * b / (b - a)
        return (b - a) / (math.exp(-at / b) - math.exp(-at / a))

    assert float(area(rise, decay)) == pytest.approx(by_hand(rise, decay), rel=1e-6)
    h = 1e-3
    expected = [(by_hand(rise + h, decay) - by_hand(rise - h, decay)) / (2 * h),
                (by_hand(rise, decay + h) - by_hand(rise, decay - h)) / (2 * h)]  # fmt: skip
    assert [float(x) for x in grads] == pytest.approx(expected, rel=2e-4)


def network(tau, E_rev=0.0, normalise="area"):
    """Given spikes onto neurons that stay below threshold, by a current and by a conductance."""
    net = rv.Network()
    source = net.add(rv.SpikeTimes([2.0, 5.0, 6.0], torch.tensor([0, 1, 0])), 2)
    a = net.add(rv.LIF(V_th=1e3), 2, "cells")
    synapses = rv.BiExponential(tau_rise=1.0, tau_decay=tau, normalise=normalise), rv.ExponentialConductance(
        tau=tau, E_rev=E_rev
    )
    for weight, synapse in zip((20.0, 3.0), synapses, strict=True):
        net.connect(source, a, weight=weight, synapse=synapse, probability=1.0)
    return net


def test_the_compiled_engine_takes_the_values():
    learnt = network(leaf(6.0), leaf(-10.0))
    V = [rv.simulate(n, 30.0, dtype=F64, record=["V"]).states["V"].values for n in (learnt, network(6.0, -10.0))]
    assert torch.equal(*V)


@pytest.mark.parametrize("normalise", ["area", "peak"])
def test_the_torch_engine_differentiates(normalise):
    """End of a run by as_cell, against central differences."""

    def end(tau, E_rev):
        cell = rv.as_cell(network(tau, E_rev, normalise), 0.1, dtype=F64)
        state = cell.init_state(1)
        return cell(torch.zeros(120, 1, 4, dtype=F64), state)[1].variables[1][0].sum()

    values = [6.0, -10.0]
    inputs = [leaf(v) for v in values]
    grads = torch.autograd.grad(end(*inputs), inputs)
    for k, h in ((0, 1e-4), (1, 1e-3)):
        low, high = ([v + s * h * (k == n) for n, v in enumerate(values)] for s in (-1, 1))
        with torch.no_grad():
            expected = (end(*high) - end(*low)) / (2 * h)
        assert float(grads[k]) == pytest.approx(float(expected), rel=1e-5)
        assert abs(float(expected)) > 1e-3


def test_files_hold_what_is_learnt(tmp_path):
    back = rv.networks.read_network(rv.networks.write_network(network(leaf(6.0)), tmp_path / "net"))
    first, second = (p.synapse for p in back.projections)
    assert first.numbers == {"tau_rise": 1.0, "tau_decay": 6.0} and first.normalise == "area"
    assert first.tau_decay.requires_grad and first.tau_decay is second.tau
