"""All stationary states of a network's populations, and how they move, meet and lose stability with a parameter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ranvier._results import Columns, Curves
from ranvier.networks import Network
from ranvier.theory.network.self_consistency.coloured import RateMap
from ranvier.theory.populations.lowering import lower_populations
from ranvier.theory.populations.prediction import PopulationPrediction, solved

LEVELS = (0.1, 2.0, 10.0, 40.0, 120.0, 300.0)  # Hz, from which Newton's method begins
STEPS, SAME = 40, 1e-4  # relative difference below which two states are one


@torch.no_grad()
def stationary_states(
    net: Network, *, starts: Sequence[Any] = (), dt: float = 0.0, threads: int = 1
) -> list[PopulationPrediction]:
    """The stationary states of a network's populations, by their mean rates; each says whether it is `stable`.

    Newton's method from rates over four decades, the same in all populations and, for up to three of them, in all
    combinations of low and high, and from `starts` (Hz); each state that it has reached is deflated away (Farrell,
    Birkisson & Funke 2015), so that it goes on to others. Unstable states, which separate the basins, are among
    them. Nothing proves that there are no more. For a prediction of all neurons in one of them give its rates to
    `rv.predict(initial_rates=)`; gradients on its branch come from `predict_populations(net, initial_rates=)`.

    Raises ValueError as `predict_populations` does, and where no state is found.

    >>> net = rv.Network()
    >>> cells = net.add(rv.LIF(), 10, drive=12.0, noise=5.0)
    >>> [state.stable for state in rv.theory.stationary_states(net)]  # uncoupled: one state
    [True]
    """
    lowered, sizes = lower_populations(net)
    rate_map = _rate_map(lowered, threads)
    P, own = lowered.coupling.size, torch.cat([g.index for g in lowered.cells])
    begin = [torch.full((P,), x) for x in LEVELS] + [torch.as_tensor(x).expand(P) for x in starts]
    if 1 < len(own) <= 3:
        for pattern in product((0.5, 100.0), repeat=len(own)):
            if len(set(pattern)) > 1:
                begin.append(torch.zeros(P).index_copy(0, own, torch.tensor(pattern)))
    states: list[Tensor] = []
    for x in begin:
        r = lowered.source_rates.index_copy(0, own, x.double()[own] / 1000)
        while (state := _deflated(rate_map, r, own, states)) is not None:
            states.append(state)
    if not states:
        raise ValueError(
            "no stationary state found: the network may run away; expected weaker weights, more noise or another drive"
        )
    states.sort(key=lambda r: float(r[own].mean()))
    predictions = [solved(net, lowered, sizes, 1000 * r, dt, threads) for r in states]
    for prediction in predictions:
        prediction.report = replace(prediction.report, states=len(states))
    return predictions


def _rate_map(lowered: Any, threads: int) -> RateMap:
    one = torch.ones_like(lowered.coupling.weight).detach()
    return RateMap(lowered, lowered.cells, one, 0 * one, threads)


def _deflated(rate_map: RateMap, r: Tensor, own: Tensor, states: list[Tensor]) -> Tensor | None:
    """A state beyond those known, (P,) 1/ms, or None."""
    one = torch.eye(len(r), dtype=torch.float64)
    for _ in range(STEPS):
        phi, _, slopes = rate_map.linearised(rate_map.gridded(r), r)
        gap = (phi - r)[own]
        if float(gap.abs().max()) < 1e-9 * max(float(r.max()), 1e-3):
            return None if any(_same(r, s) for s in states) else r
        jacobian = (rate_map.coupling.dense(slopes) - one)[own][:, own]
        step = -torch.linalg.solve(jacobian, gap)
        # with F m(r), m = prod(1 + c/|r - r_k|^2), Newton's step is that of F times a number
        tilt = 0.0
        for s in states:
            d = (r - s)[own] / (s[own] + 1e-3)
            square = float((d**2).sum()) + 1e-12
            tilt += float((-2 * d / (s[own] + 1e-3) * step).sum()) / (square * (1 + square))
        factor = 1 / (1 - tilt) if abs(1 - tilt) > 1e-3 else 1.0
        step = step * max(-20.0, min(20.0, factor))
        most = 0.5 * r[own] + 2e-3  # rates change by half, or 2 Hz, at most
        r = r.index_copy(0, own, (r[own] + torch.maximum(torch.minimum(step, most), -most)).clamp(0.0, 1.0))
    return None


def _same(a: Tensor, b: Tensor) -> bool:
    return float((a - b).abs().max()) < SAME * max(float(b.max()), 1e-4)


class Bifurcation(NamedTuple):
    """At `value` of the parameter, between two points of a branch: `kind` "fold" or "hopf"; `rates` (P,) Hz.

    >>> kind, value, rates = rv.theory.Bifurcation("fold", 0.8, torch.tensor([12.0]))
    >>> kind, value
    ('fold', 0.8)
    """

    kind: str
    value: float
    rates: Tensor


@dataclass(frozen=True)
class Branch(Columns):
    """Stationary states along a curve, as `follow` gives them: `values` (n,) of the parameter, `rates` (n, P) Hz,
    `stable` (n,); `bifurcations` in their order on it."""

    values: Tensor
    rates: Tensor
    stable: Tensor
    bifurcations: list[Bifurcation]

    def _columns(self) -> dict[str, Any]:
        rates = {f"rate_{k}": row for k, row in enumerate(self.rates.T)}
        return {"value": self.values, "stable": self.stable, **rates}

    def _curves(self) -> Curves:
        lines = {}
        for k, row in enumerate(self.rates.T):
            for word, where in (("stable", self.stable), ("unstable", ~self.stable)):
                if bool(where.any()):
                    lines[f"population {k}, {word}"] = torch.where(where, row, torch.nan)
        return Curves(self.values, lines, "parameter", "rate (Hz)")


@torch.no_grad()
def follow(
    build: Callable[[float], Network], start: float, stop: float, *, initial_rates: Any = None, step: float = 0.02,
    points: int = 200, threads: int = 1,
) -> Branch:
    """Follow a stationary state as a parameter moves from `start`, round folds, until it leaves [start, stop].

    build: the network at a value of the parameter. By arc length (Keller 1977), in units of the range and of log
    rates; `step` of it, at most `points`. Folds are where the parameter turns back; Hopf points where two modes begin
    or cease to grow with none of frequency 0. Raises ValueError where no state is found at the start.

    >>> def build(drive):
    ...     net = rv.Network()
    ...     cells = net.add(rv.LIF(V_th=15.0, V_reset=0.0, E_L=0.0), 10, drive=drive, noise=5.0)
    ...     return net
    >>> branch = rv.theory.follow(build, 10.0, 12.0, step=0.5)
    >>> branch.bifurcations, bool(branch.stable.all()), bool((branch.rates[1:] > branch.rates[:-1]).all())
    ([], True, True)
    """
    width = stop - start
    if width == 0:
        raise ValueError(f"stop is {stop}, as is start; expected another value of the parameter")

    def gap(x: Tensor) -> Tensor:
        """In x = (log rates in 1/ms, parameter in units of the range)."""
        rate_map, lowered, own = at(float(x[-1]))
        r = lowered.source_rates.index_copy(0, own, torch.exp(x[:-1]))
        mean, power, white = rate_map.received(r)
        phi = rate_map.rates(rate_map.gridded(r), mean, rate_map.noise(power, white))
        return torch.log(phi[own].clamp(min=1e-300)) - x[:-1]

    def at(place: float) -> tuple[RateMap, Any, Tensor]:
        lowered, _ = lower_populations(build(start + width * place))
        return _rate_map(lowered, threads), lowered, torch.cat([g.index for g in lowered.cells])

    def jacobian(x: Tensor) -> Tensor:
        """(n, n + 1) by central differences."""
        h = 1e-4
        columns = []
        for k in range(len(x)):
            d = torch.zeros_like(x)
            d[k] = h
            columns.append((gap(x + d) - gap(x - d)) / (2 * h))
        return torch.stack(columns, 1)

    def state(x: Tensor) -> PopulationPrediction:
        net = build(start + width * float(x[-1]))
        lowered, sizes = lower_populations(net)
        own = torch.cat([g.index for g in lowered.cells])
        r = lowered.source_rates.index_copy(0, own, torch.exp(x[:-1]))
        return solved(net, lowered, sizes, 1000 * r, 0.0, threads)

    first_net = build(start)
    first = solved(first_net, *lower_populations(first_net), initial_rates, 0.0, threads)
    own = at(0.0)[2]
    x = torch.cat([torch.log(first.working_point.rates[own]), torch.zeros(1, dtype=torch.float64)])
    direction = torch.zeros_like(x)
    direction[-1] = 1.0
    passed = step
    values, rates, growing, bifurcations = [start], [first.rates()], [first.unstable_modes], []
    for _ in range(points):
        J = jacobian(x)
        tangent = torch.linalg.svd(torch.cat([J, torch.zeros(1, J.shape[1])]))[2][-1]
        tangent = tangent * torch.sign(tangent @ direction)
        turned = float(tangent[-1] * direction[-1]) < 0 and len(values) > 1
        length = step
        while length > step / 64:
            trial = x + length * tangent
            if _corrected(gap, jacobian, trial, tangent):
                break
            length /= 2
        else:
            break
        here = state(trial)
        modes = here.unstable_modes
        value = start + width * float(trial[-1])
        if turned:
            before, after = (width * passed * float(d[-1]) for d in (direction, tangent))
            bifurcations.append(Bifurcation("fold", _extremum(values[-2:], (before, after)), rates[-1]))
        elif abs(modes - growing[-1]) == 2:
            bifurcations.append(Bifurcation("hopf", (values[-1] + value) / 2, here.rates()))
        x, direction, passed = trial, tangent, length
        if not -1e-9 <= float(x[-1]) <= 1 + 1e-9:
            break
        values.append(value)
        rates.append(here.rates())
        growing.append(modes)
    return Branch(torch.tensor(values), torch.stack(rates), torch.tensor(growing) == 0, bifurcations)


def _extremum(values: Sequence[float], slopes: tuple[float, float]) -> float:
    """Of the cubic with these values and slopes at 0 and 1."""
    t = torch.linspace(0.0, 1.0, 1001, dtype=torch.float64)
    (a, b), (da, db) = values, slopes
    cubic = (2 * t**3 - 3 * t**2 + 1) * a + (t**3 - 2 * t**2 + t) * da + (3 * t**2 - 2 * t**3) * b + (t**3 - t**2) * db
    return float(cubic.max() if da > 0 else cubic.min())


def _corrected(
    gap: Callable[[Tensor], Tensor], jacobian: Callable[[Tensor], Tensor], x: Tensor, tangent: Tensor
) -> bool:
    """Newton's method across the tangent, in place; whether it has converged."""
    J = torch.cat([jacobian(x), tangent[None]])
    for _ in range(6):
        F = gap(x)
        if float(F.abs().max()) < 1e-7:
            return True
        x -= torch.linalg.solve(J, torch.cat([F, torch.zeros(1, dtype=torch.float64)]))
    return float(gap(x).abs().max()) < 1e-6
