"""The Fokker-Planck equation in time: densities and rates of populations under changing drive and noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ranvier._results import Columns, Curves
from ranvier.networks import Network
from ranvier.theory._text import Brief
from ranvier.theory.single_neuron.functions import StationaryFunction
from ranvier.theory.single_neuron.membrane import Membrane
from ranvier.theory.single_neuron.threshold_integration import reset_nodes
from ranvier.theory.time._steps import Course, DensityInput, DensityNeurons, DensityState
from ranvier.theory.time._steps import evolve as _evolve
from ranvier.theory.time.populations import as_coupled_populations


@dataclass(frozen=True, repr=False)
class Evolution(Brief, Columns):
    """Of `evolve`: `times` (T,) ms, the ends of the steps; `rate` (T, M) Hz, its mean over each step; `refractory`
    (T, M), the mass held there; `density` (S, N, M) 1/mV at the grid's nodes at `density_times` (S,) ms."""

    times: Tensor
    rate: Tensor
    refractory: Tensor
    density: Tensor
    density_times: Tensor

    def _columns(self) -> dict[str, Any]:
        return {"time": self.times, **{f"rate_{k}": row for k, row in enumerate(self.rate.T)}}

    def _curves(self) -> Curves:
        lines = {f"population {k}": row for k, row in enumerate(self.rate.T)}
        return Curves(self.times, lines, "time (ms)", "rate (Hz)")


@torch.no_grad()
def evolve(
    neurons: Membrane | Network,
    duration: float,
    dt: float,
    *,
    drive: Tensor | float = 0.0,
    sigma: Tensor | None = None,
    coupling: Tensor | None = None,
    noise_coupling: Tensor | None = None,
    delay: Tensor | float | None = None,
    tau_s: Tensor | float = 0.0,
    initial: str | Tensor = "stationary",
    every: int = 0,
    step: float = 0.0,
) -> Evolution:
    """P(V, t) of M populations: Scharfetter-Gummel fluxes, backward Euler, first order in dt (Augustin et al.
    2017, 10.1371/journal.pcbi.1005545).

    neurons: a `Membrane`, or the `Network` that `rv.simulate` takes, whose drives, `Poisson` rates and rates of
        backgrounds may be `TimeSeries`: its M spiking populations in order, taken as large, with their mean
        in-degrees. It begins in its stationary state at the first values (`predict_populations`). What synapses
        filter is white noise of the variance that it gives the membrane, with the mean input moved so that the rates
        of that first state are those of coloured noise. Only `duration`, `dt`, `every` and `step` go with it; synapses
        are `Delta` or `Exponential`.
    duration, dt: ms. drive: mV added to the force, a number, (M,) or (T, M) with T = round(duration/dt), at
    the end of each step. sigma: (T, M) mV, in place of the neurons' own.
    coupling: (M, M) [target, source] in mV ms, so that source j adds coupling_ij r_j(t - delay_ij) to i's
        drive, filtered exponentially with tau_s (ms; 0: not at all). noise_coupling: (M, M) in mV^2 ms, the
        same for sigma^2 (in-degree times weight^2/(2 tau) for independent spikes). delay: ms, at least dt,
        (M, M) or a number.
    initial: "stationary" (of the neurons as given, without coupling), "reset" (all at V_reset at time 0), or
        a density (N, M) 1/mV, what is missing to 1 being refractory, evenly over the refractory time.
    every: keep the density each `every` steps (0: only the last).
    step: ms, of a Network only: what `rv.simulate` in steps of that gives, which misses crossings between them (see
        `dt` of `rv.predict`): at 0.05 ms LIF neurons fire 2 to 6 % less. 0: time as it is.

    Mass, refractory mass included, is kept to rounding. No gradients. Raises ValueError on what does not fit.

    >>> neurons = rv.theory.membrane(lambda V: 12.0 - V, tau=20.0, sigma=5.0, V_th=15.0, V_reset=0.0)
    >>> course = rv.theory.evolve(neurons, 20.0, 0.5)  # stays where it begins, in the stationary state
    >>> rate = rv.theory.siegert(12.0, 5.0, tau=20.0, V_th=15.0, V_reset=0.0).rate
    >>> bool((abs(course.rate - rate) < 1e-2 * rate).all())
    True
    """
    if isinstance(neurons, Network):
        more: dict[str, Any] = {"sigma": sigma, "coupling": coupling, "noise_coupling": noise_coupling, "delay": delay}
        numbers = {k: v for k, v in (("drive", drive), ("tau_s", tau_s)) if not (isinstance(v, int | float) and v == 0)}
        names = [k for k, v in (more | numbers).items() if v is not None]
        if names := names + ["initial"] * (not isinstance(initial, str) or initial != "stationary"):
            raise ValueError(
                f"{', '.join(names)} is given beside a Network; expected it with a Membrane only: a network has its "
                "own inputs, as TimeSeries, and begins in its stationary state"
            )
        if not (math.isfinite(step) and step >= 0):
            raise ValueError(f"step is {step}; expected a simulation's step in ms, or 0 for none")
        membrane, arguments = as_coupled_populations(neurons, duration, dt, step)
        return evolve(membrane, duration, dt, every=every, **arguments)
    if not isinstance(neurons, Membrane):
        raise TypeError(f"neurons is {type(neurons).__name__}; expected a Network, or a Membrane of theory.membrane")
    if step:
        raise ValueError(f"step is {step} ms beside a Membrane; expected it with a Network: raise V_th instead")
    M, N = neurons.size, neurons.grid.N
    steps = round(duration / dt) if dt > 0 else 0
    if steps < 1:
        raise ValueError(
            f"duration is {duration} ms and dt {dt} ms; expected positive times, at least one step"
        )
    arrays = _Arrays(neurons, steps)
    mass, held, before = _initial(neurons, initial, arrays)
    wait = arrays.t_ref / dt
    buffer = np.zeros((M, int(wait.max()) + 2))
    for i in range(M):
        whole = int(wait[i])
        if wait[i] > 0:  # what left at an even rate before comes back in order
            buffer[i, :whole] = held[i] / wait[i]
            buffer[i, whole] = held[i] * (wait[i] - whole) / wait[i]
    weight, spread = arrays.matrix(coupling, "coupling"), arrays.matrix(noise_coupling, "noise_coupling")
    if delay is None and (weight.any() or spread.any()):
        raise ValueError("coupled populations have no delay; expected one in ms, at least dt")
    lag = arrays.matrix(dt if delay is None else delay, "delay") / dt
    if (lag < 1 - 1e-9).any():
        raise ValueError(f"a delay is {lag.min() * dt:.6g} ms; expected at least dt = {dt} ms")
    lag = np.maximum(np.where(np.abs(lag - np.round(lag)) < 1e-9, np.round(lag), lag), 1)
    filters = arrays.matrix(tau_s, "tau_s")
    if (filters < 0).any():
        raise ValueError(f"tau_s is {filters.min():.6g} ms; expected 0 ms or above")
    memory = np.where(filters > 0, np.exp(-dt / np.where(filters > 0, filters, 1)), 0)
    history = np.tile(before, (int(lag.max()) + 2, 1))
    factor = np.ones((1, M)) if sigma is None else arrays.series(sigma, "sigma") ** 2 / arrays.variance
    if (factor <= 0).any():
        raise ValueError("sigma is 0 mV or below at some time; expected numbers above 0 mV")
    stride = every if every > 0 else steps
    course = Course.empty(steps, M, steps // stride, N)
    inputs = DensityInput(arrays.series(drive, "drive"), factor, weight, spread, lag, memory)
    _evolve(dt, steps, arrays.kernel(dt), DensityState(mass, buffer, history), inputs, stride, course)
    times = dt * torch.arange(1, steps + 1, dtype=torch.float64)
    density = torch.from_numpy(course.density).transpose(1, 2) / neurons.grid.step.detach()
    return Evolution(
        times,
        torch.from_numpy(1000 * course.rate),
        torch.from_numpy(course.refractory),
        density,
        times[stride - 1 :: stride],
    )


@torch.no_grad()
def interval_density(neurons: Membrane, duration: float, dt: float) -> tuple[Tensor, Tensor]:
    """(times (T,) ms, density (T, M) 1/ms) of interspike intervals: all mass starts at V_reset after t_ref,
    none comes back. Each value is the mean over a step that ends at its time; first order in dt. ValueError for less
    than one step.

    >>> neurons = rv.theory.membrane(lambda V: 12.0 - V, tau=20.0, sigma=5.0, V_th=15.0, V_reset=0.0)
    >>> times, density = rv.theory.interval_density(neurons, 600.0, 0.5)
    >>> round(float(density.sum() * 0.5), 3)
    1.0
    """
    M = neurons.size
    steps = round(duration / dt) if dt > 0 else 0
    if steps < 1:
        raise ValueError(
            f"duration is {duration} ms and dt {dt} ms; expected positive times, at least one step"
        )
    a = _Arrays(neurons, steps)
    mass, _, before = _initial(neurons, "reset", a)
    none, course = np.zeros((M, M)), Course.empty(steps, M, 0, a.N)
    alone = DensityInput(np.zeros((1, M)), np.ones((1, M)), none, none, none + 1, none)
    state = DensityState(mass, np.zeros((M, 1)), np.tile(before, (2, 1)))
    _evolve(dt, steps, a.kernel(dt, reinject=False), state, alone, 0, course)
    rate = course.rate
    times = dt * np.arange(1, steps + 1)
    shifted = np.empty_like(rate)
    passed = np.vstack([np.zeros(M), np.cumsum(rate, 0) * dt])  # at 0, dt, ...
    for i in range(M):
        total = np.interp(np.append(0, times) - a.t_ref[i], np.append(0, times), passed[:, i], left=0)
        shifted[:, i] = np.diff(total) / dt
    return torch.from_numpy(times), torch.from_numpy(shifted)


class _Arrays:
    """A membrane as the kernel's arrays, and what it is to be driven with, checked for shape."""

    def __init__(self, neurons: Membrane, steps: int) -> None:
        _, _, position, t_ref = (x.detach().numpy() for x in neurons.integration())
        self.M, self.N, self.steps = neurons.size, neurons.grid.N, steps
        self.force = np.ascontiguousarray(neurons.force.detach().T.numpy())
        self.step = neurons.grid.step.detach().numpy().copy()
        self.tau, self.t_ref = neurons.tau.detach().numpy().copy(), t_ref.copy()
        self.variance = neurons.sigma.detach().numpy() ** 2
        self.reset, self.share = reset_nodes(position, self.N)

    def kernel(self, dt: float, reinject: bool = True) -> DensityNeurons:
        wait = self.t_ref / dt
        return DensityNeurons(self.force, self.step, self.tau, self.variance, self.reset, self.share, wait, reinject)

    def matrix(self, value: Any, name: str) -> np.ndarray:
        return self._fit(0.0 if value is None else value, (self.M, self.M), name)

    def series(self, value: Any, name: str) -> np.ndarray:
        v = torch.as_tensor(value, dtype=torch.float64)
        return self._fit(v, (self.steps if v.ndim == 2 and v.shape[0] != 1 else 1, self.M), name)

    def _fit(self, value: Any, shape: tuple[int, int], name: str) -> np.ndarray:
        v = torch.as_tensor(value, dtype=torch.float64)
        try:
            fitted = v.expand(shape)
        except RuntimeError as error:
            raise ValueError(
                f"{name} has shape {tuple(v.shape)}; expected {shape}, or one that broadcasts to it"
            ) from error
        if not bool(torch.isfinite(v).all()):
            raise ValueError(f"{name} is not finite; expected finite numbers")
        return np.array(fitted.numpy(), order="C")


def _initial(
    neurons: Membrane, initial: str | Tensor, a: _Arrays
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(mass (M, N), refractory mass (M,), rate before the beginning (M,))."""
    if isinstance(initial, str) and initial == "stationary":
        rate, _, probability = StationaryFunction.apply(*(x.detach() for x in neurons.integration()), 1)
        return probability.numpy().copy(), (rate * neurons.t_ref).numpy(), rate.numpy()
    if isinstance(initial, str) and initial == "reset":
        mass = np.zeros((a.M, a.N))
        mass[np.arange(a.M), a.reset], mass[np.arange(a.M), a.reset + 1] = 1 - a.share, a.share
        return mass, np.zeros(a.M), np.zeros(a.M)
    if isinstance(initial, str):
        raise ValueError(f'initial is {initial!r:.60}; expected "stationary", "reset" or a density (N, M)')
    density = torch.as_tensor(initial, dtype=torch.float64)
    if density.shape != (a.N, a.M) or not bool((density >= 0).all()):
        raise ValueError(
            f"the initial density has shape {tuple(density.shape)}; expected {(a.N, a.M)}, values of 0 or above"
        )
    mass = np.array((density * neurons.grid.step).T.numpy(), order="C")
    held = 1 - mass.sum(1)
    if (held < -1e-9).any() or ((held > 1e-9) & (a.t_ref == 0)).any():
        raise ValueError(
            f"the initial density holds {1 - held}; expected at most 1, and exactly 1 without refractory time"
        )
    held = np.where(a.t_ref > 0, held, 0.0)
    y = np.clip(-a.force[:, -1] * a.step / a.variance, -1e100, 500)
    out = np.where(np.abs(y) > 1e-9, y / np.expm1(np.where(y == 0, 1e-9, y)), 1)
    return mass, held, mass[:, -1] * out * a.variance / (a.step**2 * a.tau)
