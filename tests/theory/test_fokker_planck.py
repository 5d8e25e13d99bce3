"""The Fokker-Planck equation in time: conservation, relaxation, linear response, coupling."""

import math

import pytest
import torch

from ranvier import theory
from tests.theory import cases


def neuron(N=500, **changed):
    force, p = cases.O
    return theory.membrane(force, N=N, **{**p, **changed})


def total(m, e, every):
    return e.density.sum(1) * m.grid.step + e.refractory[every - 1 :: every]


@pytest.mark.parametrize("t_ref", [0.0, 0.05, 0.55, 2.0])
@pytest.mark.parametrize("initial", ["reset", "stationary"])
def test_mass_is_kept(t_ref, initial):
    m = neuron(t_ref=t_ref)
    t = 0.1 * torch.arange(1, 3001)
    drive = 5 * torch.sin(t / 7)[:, None]
    sigma = 9 + 3 * torch.cos(t / 11)[:, None]
    e = theory.evolve(m, 300.0, 0.1, drive=drive, sigma=sigma, initial=initial, every=10)
    assert float((total(m, e, 10) - 1).abs().max()) < 1e-12
    assert float(e.rate.min()) >= 0


@pytest.mark.parametrize("t_ref", [0.0, 0.05, 0.55, 2.0])
def test_relaxes_to_the_stationary_state(t_ref):
    m = neuron(t_ref=t_ref)
    e = theory.evolve(m, 1500.0, 0.1, initial="reset")
    s = theory.stationary(m)
    assert float((e.rate[-1] / s.rate - 1).abs()) < 1e-12
    torch.testing.assert_close(e.density[-1], s.density, rtol=1e-9, atol=1e-14)


def test_stays_in_the_stationary_state():
    m = neuron()
    e = theory.evolve(m, 50.0, 0.1)
    assert float((e.rate / theory.stationary(m).rate - 1).abs().max()) < 1e-12


def test_small_modulation_is_the_linear_response():
    m, f, depth = neuron(), 20.0, 0.02
    omega = 2 * math.pi * f / 1000

    def measured(dt):
        t = dt * torch.arange(1, round(400 / dt) + 1, dtype=torch.float64)
        e = theory.evolve(m, 400.0, dt, drive=(depth * torch.cos(omega * t))[:, None])
        late = t > 300 + 1e-9  # two periods of 50 ms; the rate is a step's mean
        return 2 * (e.rate[late, 0] * torch.exp(-1j * omega * (t[late] - dt / 2))).mean() / depth

    result = 2 * measured(0.05) - measured(0.1)  # first order in dt
    assert complex(result) == pytest.approx(complex(theory.response(m, f).current), abs=1e-3)


def test_interval_density():
    m = neuron()
    t, density = theory.interval_density(m, 1500.0, 0.1)
    assert float(density.sum() * 0.1) == pytest.approx(1, abs=1e-4)
    assert float(density[t <= 2.0].abs().max()) == 0
    mean = float(((t - 0.05) * density[:, 0]).sum() * 0.1)
    assert mean == pytest.approx(1000 / float(theory.stationary(m).rate), rel=2e-3)
    omega = 2 * math.pi * 0.01
    rho = (density[:, 0] * torch.exp(-1j * omega * (t - 0.05))).sum() * 0.1
    assert complex(rho) == pytest.approx(complex(theory.response(m, 10.0).passage), abs=3e-3)


def test_coupled_populations_reach_the_self_consistent_rates():
    """r_i = Phi_i(mu + sum_j W_ij r_j, sigma^2 + sum_j Q_ij r_j), solved here by plain iteration."""
    force, p = cases.O
    W = torch.tensor([[100.0, -300.0], [150.0, -250.0]], dtype=torch.float64)
    Q = torch.tensor([[200.0, 500.0], [100.0, 300.0]], dtype=torch.float64)
    mu = torch.tensor([0.0, -1.0], dtype=torch.float64)

    def at(shift, sigma):
        return theory.membrane(lambda V: force(V) + shift, N=300, **{**p, "sigma": sigma})

    r = torch.full((2,), 0.005, dtype=torch.float64)
    for _ in range(200):
        m = at(mu + W @ r, (81.0 + Q @ r).sqrt())
        r = 0.5 * r + 0.5 * theory.stationary(m).rate / 1000
    e = theory.evolve(
        at(mu, torch.tensor([9.0, 9.0])),
        1500.0,
        0.1,
        coupling=W,
        noise_coupling=Q,
        delay=1.55,
        tau_s=5.0,
        initial="reset",
    )
    torch.testing.assert_close(e.rate[-1], 1000 * r, rtol=1e-9, atol=0)


def test_a_delay_is_a_delay():
    """A source that jumps at t = 0 reaches its target after the delay, not before."""
    force, p = cases.O
    m = theory.membrane(lambda V: force(V) + torch.zeros(2), N=300, **p)
    W = torch.tensor([[0.0, 0.0], [1000.0, 0.0]], dtype=torch.float64)
    base = theory.stationary(m).rate
    W0 = W * base[0] / 1000
    drive = torch.tensor([[20.0, -float(W0[1, 0])]], dtype=torch.float64)
    for delay, dt in ((3.0, 0.1), (1.05, 0.15)):
        e = theory.evolve(m, 5.0, dt, drive=drive, coupling=W, delay=delay)
        moved = (e.rate / base - 1).abs() > 1e-9
        starts = [float(e.times[moved[:, k]][0]) for k in range(2)]
        assert starts == pytest.approx([dt, delay + dt], abs=1e-9)


def test_delays_between_steps_are_interpolated():
    """To first order in a weak coupling, half a step more of delay is the mean of the two whole ones."""
    force, p = cases.O
    m = theory.membrane(lambda V: force(V) + torch.zeros(2), N=200, **p)
    W = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    early, between, late = (
        theory.evolve(m, 15.0, 0.1, coupling=W, delay=d, initial="reset").rate[:, 1] for d in (2.0, 2.05, 2.1)
    )
    assert float((late - early).abs().max()) > 1e-5
    torch.testing.assert_close(between, (early + late) / 2, rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"dt": 0.0}, "at least one step"),
        ({"coupling": torch.ones(1, 1)}, "have no delay"),
        ({"coupling": torch.ones(1, 1), "delay": 0.01}, "at least dt"),
        ({"coupling": torch.ones(2, 2), "delay": 1.0}, "coupling has shape"),
        ({"initial": "rest"}, "initial is 'rest'"),
        ({"initial": torch.ones(3, 1)}, "initial density"),
        ({"sigma": torch.zeros(1)}, "sigma is 0 mV or below"),
        ({"drive": torch.zeros(7, 1)}, "drive has shape"),
        ({"drive": math.nan}, "finite"),
    ],
)
def test_refuses_what_does_not_fit(changed, message):
    inputs = {"duration": 10.0, "dt": 0.1, **changed}
    with pytest.raises(ValueError, match=message):
        theory.evolve(neuron(), **inputs)
