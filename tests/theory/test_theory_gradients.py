"""Hand-written adjoints against finite differences (torch.autograd.gradcheck)."""

import pytest
import torch

from ranvier import theory


def tensor(values):
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


VALUES = {
    "mu": [12.0, 17.0],
    "tau": [10.0, 15.0],
    "sigma": [4.0, 3.0],
    "V_th": [-40.0, -42.3],
    "V_reset": [-68.13, -60.03],
    "t_ref": [2.0, 1.0],
    "Delta_T": [2.0, 1.5],
    "V_lb": [-90.0, -85.2],
}
QUIET = {**VALUES, "sigma": [0.3, 0.2]}  # large barriers: the scaled sweeps


def build(mu, tau, sigma, V_th, V_reset, t_ref, Delta_T, V_lb):
    def force(V):
        return -65.0 - V + Delta_T * torch.exp((V + 50.0) / Delta_T) + mu

    return theory.membrane(
        force, tau=tau, sigma=sigma, V_th=V_th, V_reset=V_reset, t_ref=t_ref, V_lb=V_lb, N=40
    )


@pytest.mark.parametrize("values", [VALUES, QUIET], ids=["noisy", "quiet"])
def test_rate_cv_density(values):
    def measure(*inputs):
        s = theory.stationary(build(*inputs))
        return s.rate, s.cv, s.density

    assert torch.autograd.gradcheck(measure, [tensor(v) for v in values.values()], atol=1e-7, rtol=1e-4)


@pytest.mark.parametrize("values", [VALUES, QUIET], ids=["noisy", "quiet"])
@pytest.mark.parametrize("frequencies", [5, 40])  # narrow and wide kernels
def test_response(values, frequencies):
    f = torch.linspace(0.0, 200.0, frequencies)
    u = torch.randn(40, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()

    def measure(u, *inputs):
        r = theory.response(build(*inputs), f, parameters={"u": u})
        return r.current, r.noise, r.parameters["u"], r.passage, r.spectrum

    inputs = [u, *(tensor(v) for v in values.values())]
    assert torch.autograd.gradcheck(measure, inputs, atol=1e-5, rtol=1e-3, fast_mode=frequencies > 8)


def test_through_rescaled_lanes():
    """Growth beyond 1e100 within a sweep: high frequency, little noise."""

    def measure(mu, sigma):
        m = theory.membrane(lambda V: mu - V, tau=10.0, sigma=sigma, V_th=20.0, V_reset=10.0, V_lb=0.0, N=400)
        r = theory.response(m, [1000.0, 20000.0])
        return r.current * 1e3, r.passage.log()

    assert abs(measure(25.0, 0.1)[1].real).max() > 250
    assert torch.autograd.gradcheck(measure, [tensor([25.0]), tensor([0.1])], eps=1e-5, atol=1e-6, rtol=1e-3)


def test_drift_parameters_reach_the_loss():
    """dr/dDelta_T by autograd equals the susceptibility to Delta_T given as dF/dDelta_T."""
    inputs = {k: tensor(v) for k, v in VALUES.items()}
    m = build(**inputs)
    slope = torch.autograd.grad(theory.stationary(m).rate.sum(), inputs["Delta_T"])[0]
    with torch.no_grad():
        x = (m.grid.faces + 50.0) / inputs["Delta_T"]
        r = theory.response(m, 0.0, parameters={"Delta_T": torch.exp(x) * (1 - x)})
    torch.testing.assert_close(r.parameters["Delta_T"].real[0], slope, rtol=1e-10, atol=0)


def test_threads_agree():
    m = build(**{k: tensor(v).detach() for k, v in VALUES.items()})
    f = torch.linspace(0.0, 100.0, 7)
    assert torch.equal(theory.response(m, f, threads=2).current, theory.response(m, f).current)
    assert torch.equal(theory.stationary(m, threads=2).density, theory.stationary(m).density)
