"""Integrators: the order measured, exact steps against closed forms, noise against Lyapunov's equation."""

import math
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import scipy.linalg
import torch

import ranvier as rv
from ranvier.engines.step_model import step_models
from ranvier.equations import Equations, parse, symbol
from ranvier.equations.integrators import default_method, linear_part, make_scheme
from ranvier.equations.printing import torch_function
from ranvier.equations.propagators import propagators

F64 = partial(torch.tensor, dtype=torch.float64)


def stepper(text, method=None, dt=0.1, parameters=None, **options):
    """x -> x after a step, given a dictionary of tensors and normals, from the scheme's own statements."""
    states = Equations(text).states
    scheme = make_scheme(states, method=method, **options)
    values = {k: torch.tensor(v, dtype=torch.float64) for k, v in ({"dt": dt} | (parameters or {})).items()}
    if scheme.linear is not None:
        values |= propagators(scheme.linear, values, dt)
    f = torch_function(scheme.result, scheme.statements)

    def step(x, normals=(), **inputs):
        return f(**values, **x, **inputs, **{f"N_{k}": n for k, n in enumerate(normals)})

    return step, scheme


def end(text, method, dt, T, start, **options):
    step, _ = stepper(text, method, dt, **options)
    x = {k: torch.tensor(v, dtype=torch.float64) for k, v in start.items()}
    for _ in range(round(T / dt)):
        x = step(x)
    return x


NONLINEAR = "dx/dt = x*(1 - x) - y\ndy/dt = 0.5*x*y - 0.3*y"


@pytest.mark.parametrize("method, order", [("euler", 1), ("exponential_euler", 1), ("heun", 2), ("rk4", 4)])
def test_order_without_noise(method, order):
    text = "dx/dt = -x*y + 1\ndy/dt = x - x*y" if method == "exponential_euler" else NONLINEAR
    start = {"x": 0.5, "y": 0.2}
    exact = end(text, "heun" if method == "rk4" else "rk4", 1e-3, 4.0, start) if method != "rk4" else None
    if exact is None:
        from scipy.integrate import solve_ivp

        right = lambda t, v: [v[0] * (1 - v[0]) - v[1], 0.5 * v[0] * v[1] - 0.3 * v[1]]  # noqa: E731
        exact = dict(
            zip(
                "xy",
                solve_ivp(right, (0, 4), [0.5, 0.2], "DOP853", rtol=1e-13, atol=1e-14).y[:, -1],
                strict=True,
            )
        )
    errors = [
        abs(float(end(text, method, dt, 4.0, start)["x"]) - float(exact["x"])) for dt in (0.2, 0.1, 0.05)
    ]
    orders = [math.log2(a / b) for a, b in pairwise(errors)]
    assert orders[-1] == pytest.approx(order, abs=0.25), (errors, orders)


def test_exact_steps_are_the_matrix_exponential(rng):
    A = rng.normal(size=(3, 3)) - 2 * np.eye(3)
    b = rng.normal(size=3)
    text = "\n".join(
        f"d{v}/dt = "
        + " + ".join(f"({float(A[i, j])!r})*{w}" for j, w in enumerate("xyz"))
        + f" + ({float(b[i])!r})"
        for i, v in enumerate("xyz")
    )
    step, scheme = stepper(text, dt=0.7)
    assert scheme.method == "exact"
    x = rng.normal(size=3)
    out = step({k: torch.tensor(v, dtype=torch.float64) for k, v in zip("xyz", x, strict=True)})
    big = np.zeros((4, 4))
    big[:3, :3], big[:3, 3] = A, b
    expected = (scipy.linalg.expm(0.7 * big) @ [*x, 1.0])[:3]
    assert np.allclose([float(out[k]) for k in "xyz"], expected, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("tau_s", [0.01, 2.0, 10.0, 10.0 + 1e-9, 25.0])
def test_a_postsynaptic_potential_is_exact_whatever_the_step(tau_s):
    """V of a current exp(-t/tau_s) on tau_m = 10, also where the two time constants meet."""
    text = "dV/dt = (s - V)/tau_m\nds/dt = -s/tau_s"
    for dt, steps in ((0.1, 300), (7.5, 4)):
        step, _ = stepper(text, dt=dt, parameters={"tau_m": 10.0, "tau_s": tau_s})
        x = {"V": torch.tensor(0.0, dtype=torch.float64), "s": torch.tensor(1.0, dtype=torch.float64)}
        for _ in range(steps):
            x = step(x)
        t = dt * steps
        if abs(tau_s - 10.0) < 1e-6:
            expected = t / 10.0 * math.exp(-t / 10.0)
        else:
            expected = tau_s / (10.0 - tau_s) * (math.exp(-t / 10.0) - math.exp(-t / tau_s))
        assert float(x["V"]) == pytest.approx(expected, rel=1e-8 if abs(tau_s - 10) < 1e-6 else 1e-11)


def covariance_of(step, scheme, names, dt, A):
    """The noise's covariance of a step, L Lᵀ, read off unit normals."""
    zero = {k: torch.tensor(0.0, dtype=torch.float64) for k in names}
    eye = torch.eye(scheme.normals, dtype=torch.float64)
    L = np.array([[float(step(zero, list(row))[k]) for row in eye] for k in names])
    return L @ L.T


@pytest.mark.parametrize("dt", [1e-3, 0.1, 1.0, 30.0])
def test_correlated_noise_keeps_lyapunovs_covariance(dt):
    """Coupled variables with shared noise: the stationary covariance C of A C + C Aᵀ + B Bᵀ = 0 stays."""
    A = np.array([[-0.5, 0.3], [-0.2, -0.1]])
    B = np.array([[1.0, 0.5], [0.4, 0.0]])
    text = "dx/dt = -0.5*x + 0.3*y + xi_a + 0.5*xi_b\ndy/dt = -0.2*x - 0.1*y + 0.4*xi_a"
    step, scheme = stepper(text, dt=dt)
    assert scheme.method == "exact" and scheme.normals == 2
    C = scipy.linalg.solve_continuous_lyapunov(A, -B @ B.T)
    P = scipy.linalg.expm(A * dt)
    result = covariance_of(step, scheme, "xy", dt, A)
    assert np.allclose(P @ C @ P.T + result, C, rtol=1e-10)


@pytest.mark.parametrize("dt", [1e-4, 0.1, 5.0, 200.0])
@pytest.mark.parametrize("tau_s", [0.002, 5.0])
def test_a_free_membranes_variance_is_noise_squared_for_any_step(dt, tau_s):
    net = rv.Network()
    p = net.add(rv.LIF(V_th=1e9), 3, noise=torch.tensor([0.0, 3.0, 7.0]))
    net.background(p, rate=0.0, weight=1.0, synapse=rv.Exponential(tau=tau_s))  # a fast filter beside it
    values = step_models(net)[0].evaluate(dt)
    P, L = values["P_0_0"], values["L_0_0"]
    assert torch.allclose(L**2, (1 - P**2) * torch.tensor([0.0, 9.0, 49.0]).double(), rtol=1e-9, atol=0)
    assert float(P) == pytest.approx(math.exp(-dt / 20.0), rel=1e-13)


def test_euler_maruyama_on_a_linear_equation():
    """Mean and variance after T, whose errors are first order; and the strong error on a common path."""
    a, s = 0.8, 0.5
    text = f"dx/dt = -{a}*x + {s}*xi"
    for dt in (0.1, 0.05):
        step, _ = stepper(text, "euler", dt)
        # variance and mean obey the scheme's own recursion exactly
        x = step({"x": torch.tensor(2.0).double()}, [torch.tensor(1.5).double()])["x"]
        if make_scheme(Equations(text).states, method="euler").linear is None:
            assert float(x) == pytest.approx(2.0 - a * 2.0 * dt + s * math.sqrt(dt) * 1.5, rel=1e-14)
        else:  # linear parts are advanced exactly under every explicit method
            spread = s * math.sqrt(-math.expm1(-2 * a * dt) / (2 * a))
            assert float(x) == pytest.approx(2.0 * math.exp(-a * dt) + spread * 1.5, rel=1e-13)


def test_euler_maruyama_strong_order():
    """dx = -sin(x)dt + s dW (additive noise): strong order 1, against a fine path of the same noise."""
    text, T, paths = "dx/dt = -sin(x) + 0.6*xi", 1.0, 400
    fine = 512
    dW = torch.randn(
        fine, paths, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    ) * math.sqrt(T / fine)

    def path(n, method):
        step, _ = stepper(text, method, T / n)
        x = {"x": torch.ones(paths, dtype=torch.float64)}
        for block in dW.reshape(n, fine // n, paths).sum(1):
            x = step(x, [block / math.sqrt(T / n)])
        return x["x"]

    for method, order in (("euler", 1.0), ("heun", 1.0)):
        reference = path(fine, "heun")
        errors = [float((path(n, method) - reference).abs().mean()) for n in (8, 16, 32)]
        orders = np.log2(np.array(errors[:-1]) / errors[1:])
        assert (orders > order - 0.25).all(), (method, errors)


def test_noise_under_exponential_euler_has_the_variance_of_its_slope():
    """dx = −x y dt + s dW with y at rest over the step: s² (1 − e^(−2 y dt))/(2 y), an Ornstein–Uhlenbeck process."""
    step, scheme = stepper("dx/dt = -x*y + 0.6*xi\ndy/dt = 0.3 - x*y", "exponential_euler", dt=0.37)
    assert scheme.method == "exponential_euler" and scheme.linear is None
    start = {"x": F64(1.3), "y": F64(3.7)}
    quiet, kicked = (float(step(start, [F64(n)])["x"]) for n in (0.0, 1.0))
    assert quiet == pytest.approx(1.3 * math.exp(-3.7 * 0.37), rel=1e-12)
    assert (kicked - quiet) ** 2 == pytest.approx(0.36 * -math.expm1(-2 * 3.7 * 0.37) / (2 * 3.7), rel=1e-12)


def test_heuns_predictor_has_the_noise():
    """x + dt/2 (f(x) + f(x + dt f(x) + k)) + k with the kick k = s √dt N (Kloeden & Platen 1992)."""
    step, _ = stepper("dx/dt = -sin(x) + 0.6*xi", "heun", dt=0.37)
    x, kick = 1.3, 0.6 * math.sqrt(0.37) * -1.7
    predicted = x - 0.37 * math.sin(x) + kick
    expected = x - 0.37 / 2 * (math.sin(x) + math.sin(predicted)) + kick
    assert float(step({"x": F64(x)}, [F64(-1.7)])["x"]) == pytest.approx(expected)


def test_multiplicative_noise_is_read_as_ito():
    step, scheme = stepper("dx/dt = 0.1*x + 0.4*x*xi", dt=0.01)
    assert scheme.method == "euler"
    x = step({"x": torch.tensor(2.0).double()}, [torch.tensor(-1.0).double()])["x"]
    assert float(x) == pytest.approx(2.0 * (1 + 0.001 - 0.04), rel=1e-14)


@pytest.mark.parametrize(
    "neuron, noise_free, noisy",
    [
        (rv.LIF(), "exact", "exact"), (rv.Graded(), "exact", "exact"), (rv.EIF(), "rk4", "euler"),
        (rv.QIF(), "rk4", "euler"), (rv.AdEx(), "rk4", "euler"), (rv.Izhikevich(), "rk4", "euler"),
        (rv.HodgkinHuxley(), "exponential_euler", "exponential_euler"),
    ],
)  # fmt: skip
def test_default_methods(neuron, noise_free, noisy):
    for noise, expected in ((0.0, noise_free), (2.0, noisy)):
        net = rv.Network()
        net.add(neuron, 2, noise=noise)
        assert step_models(net)[0].scheme.method == expected


def test_conductances_are_exponential_euler_and_their_filters_exact():
    net = rv.Network()
    p = net.add(rv.LIF(), 2)
    net.connect(p, p, weight=1.0, in_degree=1, synapse=rv.ExponentialConductance())
    model = step_models(net)[0]
    assert model.scheme.method == "exponential_euler" and model.scheme.linear.names == ("g_p0",)


def test_the_linear_part():
    states = Equations("dV/dt = V**2 + s\nds/dt = (r - s)/a\ndr/dt = -r/b\ndu/dt = V - u").states
    assert linear_part(states) == {"s", "r"}
    assert linear_part(states, varying=["a"]) == {"r"}
    assert default_method(states) == "rk4"
    assert linear_part(Equations("dx/dt = x*(1 - x) + x**2").states) == {"x"}  # the square drops out
    # what jumps with a variable has no slope there, and is not constant either
    for text in ("where(y > 1, -x, 2 - x)", "where(x > 1, 2, 3)", "max(y, 1) - x + where(y > 0, 1, 0)"):
        assert linear_part(Equations(f"dx/dt = {text}\ndy/dt = -y").states) == {"y"}
    assert linear_part(Equations("dx/dt = where(t > 3, 1, 0) - x").states, varying=["t"]) == {"x"}


@pytest.mark.parametrize(
    "text, method, message",
    [
        ("dx/dt = -x", "leapfrog", "unknown method 'leapfrog'; expected one of exact"),
        ("dx/dt = x**2", "exact", "dx/dt is not linear with constant coefficients"),
        ("dx/dt = x**2", "exponential_euler", "is not linear in x"),
        ("dx/dt = -x + xi", "rk4", "method is 'rk4' and there is noise"),
        ("dx/dt = -x + x*xi", "heun", "method is 'heun' and noise depends on a variable"),
    ],
)
def test_methods_that_do_not_suit(text, method, message):
    with pytest.raises(ValueError, match=message):
        make_scheme(Equations(text).states, method=method)


@pytest.mark.parametrize("method", ["heun", "rk4"])
def test_the_ceiling_keeps_an_upstroke_finite(method):
    ceiling = ("x", parse("10"))
    free, _ = stepper("dx/dt = exp(x)", method, dt=1.0)
    held, _ = stepper("dx/dt = exp(x)", method, dt=1.0, ceiling=ceiling)
    at = {"x": torch.tensor(8.0).double()}
    assert not math.isfinite(float(free(at)["x"])) or float(free(at)["x"]) > 1e300
    assert 10.0 < float(held(at)["x"]) < 1e5
    low = {"x": torch.tensor(-3.0).double()}
    assert float(free(low)["x"]) == float(held(low)["x"])


def test_gradients_reach_a_steps_parameters():
    block = make_scheme(Equations("dV/dt = (s - V)/tau + s2*xi\nds/dt = -s/tau_s").states).linear
    inputs = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (10.0, 4.0, 0.7)]

    def f(tau, tau_s, s2):
        out = propagators(block, {"tau": tau, "tau_s": tau_s, "s2": s2}, 0.5)
        return torch.stack([out[k] for k in ("P_0_0", "P_0_1", "P_1_1", "Q_0_0", "L_0_0")])

    assert torch.autograd.gradcheck(f, inputs)


def test_gradients_of_a_noise_free_neuron_are_finite():
    block = make_scheme(Equations("dV/dt = -V/tau + s*xi").states).linear
    s = torch.tensor([0.0, 1.0], dtype=torch.float64, requires_grad=True)
    L = propagators(block, {"tau": torch.tensor(10.0).double(), "s": s}, 0.5)["L_0_0"]
    L.sum().backward()
    assert L[0] == 0 and torch.isfinite(s.grad).all() and symbol("s") is not None
