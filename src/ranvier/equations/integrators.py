"""From equations to one step of dt: a list of assignments that every engine prints in its own language.

| method | for | source |
|---|---|---|
| `exact` | linear systems with constant coefficients and additive noise | Rotter & Diesmann 1999; Van Loan 1978 |
| `exponential_euler` | each variable linear in itself, the others frozen over the step | MacGregor 1987 |
| `euler` | anything; with noise Euler–Maruyama (Itô) | Kloeden & Platen 1992 |
| `heun` | additive noise, or none | Kloeden & Platen 1992 |
| `rk4` | without noise | Kutta 1901 |

Under every method but `heun` and `rk4`, variables that form a closed linear system (filtered
synapses) are advanced exactly.

What a step reads from outside is second order in dt under every method that is so itself: the time `t` is taken at
the step's middle (at their own times by the stages of `heun` and `rk4`); an input that runs from u at the step's
start to v at its end (`ramps`) is followed in between; an exactly advanced variable enters the others' equations by
its mean over the step (Magnus's method of second order; Hairer, Lubich & Wanner 2006, IV.7).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property, lru_cache
from typing import Any

import sympy as sp

from ranvier.equations._equations import StateVariable
from ranvier.equations._parse import exprel, symbol, whole

#: the time within a step
TIME = symbol("t")
METHODS = ("exact", "exponential_euler", "euler", "heun", "rk4")
DT = symbol("dt")
_KINKED = (sp.Piecewise, sp.Min, sp.Max, sp.Abs, sp.sign, sp.Heaviside, whole)


@dataclass(frozen=True)
class LinearBlock:
    """dx = (A x + b) dt + B dW with constant A, B: its propagators are computed numerically, once a run.

    Symbols of the propagators in the statements: P_i_j = exp(A dt), Q_i_j = ∫exp(A s)ds, R_i_j =
    ∫exp(A (dt − s)) s/dt ds, L_i_j the Cholesky factor of the noise covariance, with i, j places in `names`.
    """

    names: tuple[str, ...]
    A: sp.Matrix
    B: sp.Matrix
    ramped: bool = False  # an input is a ramp, and there is R

    def __getstate__(self) -> dict[str, Any]:
        # what is cached holds functions made by exec, which cannot be pickled
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @cached_property
    def entries(self) -> tuple[Callable[..., dict[str, Any]], ...]:
        """The entries of A and of B in torch, row by row, from the parameters."""
        from ranvier.equations.printing import torch_function

        return tuple(torch_function({str(k): e for k, e in enumerate(matrix)}) for matrix in (self.A, self.B))

    @cached_property
    def noisy(self) -> tuple[int, ...]:
        """Places of the variables that noise reaches within a step."""
        reached = {i for i in range(len(self.names)) if any(self.B[i, k] != 0 for k in range(self.B.cols))}
        for _ in self.names:
            reached |= {i for i in range(len(self.names)) for j in reached if self.A[i, j] != 0}
        return tuple(sorted(reached))


@dataclass(frozen=True)
class Scheme:
    """One step: `statements` in order, then variable x takes the value of `result[x]`.

    `normals` counts the standard normal numbers N_0, N_1, ... that a step needs.
    """

    method: str
    statements: tuple[tuple[sp.Symbol, sp.Expr], ...]
    result: dict[str, sp.Expr]
    normals: int
    linear: LinearBlock | None = None
    propagators: frozenset[sp.Symbol] = field(default_factory=frozenset)


def default_method(states: Sequence[StateVariable], varying: Iterable[str] = ()) -> str:
    """`exact` where the equations are linear, `exponential_euler` where each is linear in its own variable,
    else `rk4` without noise and `euler` with it."""
    outside = [s for s in states if s.name not in linear_part(states, varying)]
    if not outside:
        return "exact"
    if all(_linear_in_itself(s) for s in outside):
        return "exponential_euler"
    return "euler" if any(s.diffusion for s in states) else "rk4"


def linear_part(states: Sequence[StateVariable], varying: Iterable[str] = ()) -> frozenset[str]:
    """The largest set of variables that depend linearly, with constant coefficients, on each other only."""
    x = {s.name: symbol(s.name) for s in states}
    changing = {*x.values(), *map(symbol, varying)}
    linear = set(x)
    while True:
        closed = {s.name for s in states if s.name in linear and _is_closed(s, linear, x, changing)}
        if closed == linear:
            return frozenset(linear)
        linear = closed


def _is_closed(state: StateVariable, linear: set[str], x: dict[str, sp.Symbol], changing: set[sp.Symbol]) -> bool:
    if any(g.free_symbols & changing for g in state.diffusion.values()):
        return False
    # a jump has no slope: where(x > 1, 2, 3) would pass for a constant
    if any(part.free_symbols & set(x.values()) for part in state.drift.atoms(*_KINKED)):
        return False
    for name, variable in x.items():
        slope = _slope(state, variable)
        if slope == 0:
            continue
        if name not in linear or slope.free_symbols & changing:
            return False
    return True


def _slope(state: StateVariable, x: sp.Symbol) -> sp.Expr:
    """∂drift/∂x, expanded only where a product hides that x drops out (simplifying is slow)."""
    return _derivative(state.drift, x)


@lru_cache(maxsize=4096)  # a network that is rewired as it runs is made ready again and again
def _derivative(drift: sp.Expr, x: sp.Symbol) -> sp.Expr:
    slope = sp.diff(drift, x)
    return sp.expand(slope) if slope.has(x) else slope


def _linear_in_itself(state: StateVariable) -> bool:
    x = symbol(state.name)
    return not _slope(state, x).has(x) and not any(g.has(x) for g in state.diffusion.values())


def make_scheme(
    states: Sequence[StateVariable],
    *,
    method: str | None = None,
    varying: Iterable[str] = (),
    ceiling: tuple[str, sp.Expr] | None = None,
    ramps: Mapping[str, str] | None = None,
    damping: Mapping[str, sp.Expr] | None = None,
) -> Scheme:
    """The statements of one step.

    Parameters
    ----------
    states
        The joint system: a neuron's variables and those of its synapses.
    method
        One of `METHODS`; None takes `default_method`.
    varying
        Names that are no variables and yet change from step to step (inputs); constant over a step.
    ceiling
        (variable, bound): intermediate stages of `heun` and `rk4` see the variable at most at the bound,
        so that a spike's upstroke does not overflow.
    ramps
        Inputs (of `varying`) that change linearly within the step: name at the start -> name at the end.
    damping
        Variable -> ∂drift/∂variable of its synapses, which may be large: `euler` takes that part exponentially.

    Raises
    ------
    ValueError
        if the method is unknown or does not suit the equations.
    """
    varying = tuple(varying)
    method = method or default_method(states, varying)
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; expected one of {', '.join(METHODS)}")
    ends = {symbol(start): symbol(end) for start, end in (ramps or {}).items()}
    if method in ("heun", "rk4"):
        return _staged(states, method, ceiling, ends)
    linear = linear_part(states, varying)
    builder = _Builder(method, ends, damping or {})
    builder.exact([s for s in states if s.name in linear])
    for state in (s for s in states if s.name not in linear):
        if method == "exact":
            raise ValueError(
                f"d{state.name}/dt is not linear with constant coefficients; expected another method "
                f"({', '.join(METHODS[1:])})"
            )
        builder.one(state)
    return builder.scheme()


class _Builder:
    def __init__(self, method: str, ends: Mapping[sp.Symbol, sp.Symbol], damping: Mapping[str, sp.Expr]) -> None:
        self.method, self.ends, self.damping = method, ends, damping
        self.result: dict[str, sp.Expr] = {}
        self.noises: dict[str, int] = {}  # white noise of the equations -> number of its normal
        self.normals = 0
        self.linear: LinearBlock | None = None
        self.propagators: set[sp.Symbol] = set()
        middle = {TIME: TIME + DT / 2}
        self.middle = middle | {start: (start + end) / 2 for start, end in ends.items()}
        self.means: dict[sp.Symbol, sp.Expr] = {}

    def _propagator(self, kind: str, i: int, j: int) -> sp.Symbol:
        s = symbol(f"{kind}_{i}_{j}")
        self.propagators.add(s)
        return s

    def exact(self, states: list[StateVariable]) -> None:
        if not states:
            return
        x = [symbol(s.name) for s in states]
        A = sp.Matrix(len(x), len(x), lambda i, j: _slope(states[i], x[j]))
        b = [s.drift.xreplace(dict.fromkeys(x, sp.Integer(0))).xreplace({TIME: TIME + DT / 2}) for s in states]
        rises = [self._rise(value) for value in b]
        noises = list(dict.fromkeys(xi for s in states for xi in s.diffusion))
        B = sp.Matrix(len(x), len(noises), lambda i, k: states[i].diffusion.get(noises[k], 0))
        ramped = any(rise != 0 for rise in rises)
        block = LinearBlock(tuple(s.name for s in states), A, B, ramped)
        reach = _reachability(A)
        noisy = block.noisy
        first = self.normals
        self.normals += len(noises) if ramped else len(noisy)
        for i, state in enumerate(states):
            sources = [j for j in range(len(x)) if reach[i][j]]
            value = sp.Add(*(self._propagator("P", i, j) * x[j] for j in sources))
            value += sp.Add(*(self._propagator("Q", i, j) * b[j] for j in sources if b[j] != 0))
            value += sp.Add(*(self._propagator("R", i, j) * rises[j] for j in sources if rises[j] != 0))
            if i in noisy and ramped:
                # as a force that is constant over the step, which partners hear of by V at its end: what joined
                # neurons have in common then has the variance of one of them
                for j, k in ((j, k) for j in sources for k in range(len(noises)) if B[j, k] != 0):
                    value += self._propagator("Q", i, j) * B[j, k] / sp.sqrt(DT) * normal(first + k)
            elif i in noisy:
                row = noisy.index(i)
                value += sp.Add(*(self._propagator("L", row, k) * normal(first + k) for k in range(row + 1)))
            still = state.drift == 0 and not state.diffusion  # a count, which no rounding may change
            self.result[state.name] = x[i] if still else value
            driven = i in noisy or any(b[j] != 0 for j in sources)
            decayed = sp.Add(*(symbol(f"Q_{i}_{j}") / DT * x[j] for j in sources))
            self.means[x[i]] = (x[i] + value) / 2 if driven else decayed
        self.linear = block

    def _rise(self, value: sp.Expr) -> sp.Expr:
        """How much larger `value` is at the step's end than at its start."""
        rise: sp.Expr = sp.Integer(0)
        for start, end in self.ends.items():
            slope = sp.diff(value, start)
            if slope.free_symbols & set(self.ends):
                return value.xreplace(dict(self.ends)) - value
            rise += slope * (end - start)
        return rise

    def one(self, state: StateVariable) -> None:
        """A variable outside the linear part, by (exponential) Euler."""
        x = symbol(state.name)
        slope = _slope(state, x)
        if self.method == "exponential_euler" and not _linear_in_itself(state):
            raise ValueError(
                f"d{state.name}/dt is not linear in {state.name}; expected it to be, for method "
                "'exponential_euler': take method='euler', 'heun' or 'rk4'"
            )
        drift = state.drift
        if self.method == "exponential_euler":
            during = self.middle | {name: mean for name, mean in self.means.items() if drift.has(name)}
            self.propagators |= {q for m in during.values() for q in m.free_symbols if q.name.startswith("Q_")}
            drift, slope = drift.xreplace(during), slope.xreplace(during)
        else:
            drift = drift.xreplace(self.middle)
            slope = self.damping.get(state.name, sp.Integer(0)).xreplace(self.middle)
        if slope != 0:
            growth = DT * exprel(slope * DT)
            spread = growth / sp.sqrt(DT) if self.ends else sp.sqrt(DT * exprel(2 * slope * DT))
        else:
            growth, spread = DT, sp.sqrt(DT)
        value = x + growth * drift
        for xi, g in state.diffusion.items():
            if xi not in self.noises:
                self.noises[xi] = self.normals
                self.normals += 1
            value += spread * g.xreplace(self.middle) * normal(self.noises[xi])
        self.result[state.name] = value

    def scheme(self) -> Scheme:
        return Scheme(
            self.method, (), self.result, self.normals, self.linear, frozenset(self.propagators)
        )


def normal(k: int) -> sp.Symbol:
    """The k-th standard normal number of a step."""
    return symbol(f"N_{k}")


def _reachability(A: sp.Matrix) -> list[list[bool]]:
    n = A.rows
    reach = [[i == j or A[i, j] != 0 for j in range(n)] for i in range(n)]
    for k in range(n):
        for i in range(n):
            for j in range(n):
                reach[i][j] = reach[i][j] or (reach[i][k] and reach[k][j])
    return reach


def _staged(
    states: Sequence[StateVariable],
    method: str,
    ceiling: tuple[str, sp.Expr] | None,
    ends: Mapping[sp.Symbol, sp.Symbol],
) -> Scheme:
    x = {s.name: symbol(s.name) for s in states}
    noises = {xi: k for k, xi in enumerate(dict.fromkeys(xi for s in states for xi in s.diffusion))}
    if noises and method == "rk4":
        raise ValueError("method is 'rk4' and there is noise; expected 'heun' or 'euler'")
    if any(g.free_symbols & set(x.values()) for s in states for g in s.diffusion.values()):
        raise ValueError("method is 'heun' and noise depends on a variable; expected 'euler'")
    statements: list[tuple[sp.Symbol, sp.Expr]] = []
    kicks = {
        s.name: sp.Add(*(g * sp.sqrt(DT) * normal(noises[xi]) for xi, g in s.diffusion.items()))
        for s in states
    }

    def slopes(stage: int, share: sp.Expr, at: dict[str, sp.Symbol]) -> dict[str, sp.Symbol]:
        names = {s.name: symbol(f"k{stage}_{s.name}") for s in states}
        here = {x[name]: value for name, value in at.items()} | {TIME: TIME + share * DT}
        here |= {start: start + share * (end - start) for start, end in ends.items()}
        statements.extend((names[s.name], s.drift.xreplace(here)) for s in states)
        return names

    def advance(stage: int, share: sp.Expr, k: dict[str, sp.Symbol], noise: bool) -> dict[str, sp.Symbol]:
        at = {s.name: symbol(f"x{stage}_{s.name}") for s in states}
        for s in states:
            value = x[s.name] + share * DT * k[s.name] + (kicks[s.name] if noise else 0)
            if ceiling is not None and s.name == ceiling[0]:
                value = sp.Min(value, ceiling[1])
            statements.append((at[s.name], value))
        return at

    start, middle, end = sp.Integer(0), sp.Rational(1, 2), sp.Integer(1)
    k1 = slopes(1, start, x)
    if method == "heun":
        k2 = slopes(2, end, advance(2, end, k1, noise=True))
        result = {n: x[n] + DT / 2 * (k1[n] + k2[n]) + kicks[n] for n in x}
    else:
        k2 = slopes(2, middle, advance(2, middle, k1, noise=False))
        k3 = slopes(3, middle, advance(3, middle, k2, noise=False))
        k4 = slopes(4, end, advance(4, end, k3, noise=False))
        result = {n: x[n] + DT / 6 * (k1[n] + 2 * k2[n] + 2 * k3[n] + k4[n]) for n in x}
    return Scheme(method, tuple(statements), result, len(noises))
