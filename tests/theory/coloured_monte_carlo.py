"""Rates of neurons in coloured noise, by Monte Carlo in small steps: `python -m tests.theory.coloured_monte_carlo`.

Prints the rows of `RATES`: model, tau_s (ms), rate (Hz), standard error of the mean over groups of neurons. The input
is exact at the steps' ends and linear between, the voltage Heun's rule without noise of its own.
"""

import math

import numpy as np

TAU, T_REF, WHITE = 20.0, 2.0, 5.0  # ms, ms, mV: of the noise as if it were white, sqrt(tau_s/tau) s sqrt(2)
#: name: (force in mV, mean input, V_th, V_reset)
MODELS = {
    "lif": (lambda V: -V, 18.0, 20.0, 10.0),
    "eif": (lambda V: -V + 2 * np.exp(np.minimum(V / 2, 20.0)), 0.0, 20.0, -15.0),
    "qif": (lambda V: V * V / 5, 0.0, 30.0, -30.0),
}
#: Hz, as `measure` gave them
RATES: dict[tuple[str, float], tuple[float, float]] = {
    ("lif", 0.5): (16.2200, 0.0397),
    ("lif", 2.0): (13.6708, 0.0394),
    ("lif", 5.0): (11.4017, 0.0393),
    ("lif", 10.0): (9.2963, 0.0391),
    ("lif", 20.0): (6.9742, 0.0386),
    ("eif", 0.5): (13.6483, 0.0274),
    ("eif", 2.0): (13.1656, 0.0280),
    ("eif", 5.0): (12.6021, 0.0282),
}


def measure(name: str, tau_s: float, neurons: int = 8000, duration: float = 600.0) -> tuple[float, float]:
    force, mu, V_th, V_reset = MODELS[name]
    dt = 0.01 if tau_s < 2 else 0.02
    rng = np.random.default_rng(1)
    s = WHITE * math.sqrt(TAU / tau_s / 2)
    keep, kick = math.exp(-dt / tau_s), s * math.sqrt(-math.expm1(-2 * dt / tau_s))
    V, z = np.full(neurons, V_reset), s * rng.standard_normal(neurons)
    wait, counts = np.zeros(neurons), np.zeros(neurons)
    warm = round(300.0 / dt)
    for step in range(warm + round(duration / dt)):
        following = keep * z + kick * rng.standard_normal(neurons, dtype=np.float32)
        F = force(V) + mu
        middle = V + dt / TAU * (F + z)
        moved = V + dt / TAU * ((F + force(middle) + mu) / 2 + (z + following) / 2)
        V, z = np.where(wait > 0, V, moved), following
        wait -= dt
        spike = V_th <= V
        V[spike], wait[spike] = V_reset, T_REF
        if step >= warm:
            counts += spike
    rates = 1000 * counts / duration
    return float(rates.mean()), float(rates.std() / math.sqrt(neurons))


if __name__ == "__main__":
    for name in MODELS:
        for tau_s in (0.5, 2.0, 5.0, 10.0, 20.0):
            rate, error = measure(name, tau_s)
            print(f'    ("{name}", {tau_s}): ({rate:.4f}, {error:.4f}),', flush=True)
