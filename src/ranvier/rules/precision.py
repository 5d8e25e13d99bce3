"""What a floating-point type loses of a rule's traces and of the changes of a weight."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import sympy as sp
import torch

from ranvier.equations import symbol

if TYPE_CHECKING:
    from ranvier.rules._base import Rule
    from ranvier.rules._law import Eligibility, Trace

#: largest relative error of the rate at which a trace decays
TRACE_TOLERANCE = 0.01
#: largest relative error of a single change of a weight
CHANGE_TOLERANCE = 0.02


def warn_of_losses(
    rule: Rule, weight: float, dt: float, dtype: torch.dtype, *, what: str = "", remedy: str = "use weights of float64",
    every_trace: bool = True, level: int = 2,
) -> None:  # fmt: skip
    """Warn where traces that decay by steps of dt (ms) do so at a wrong rate, and where changes of a weight of that
    size are lost beside it, or badly rounded.

    Of types narrower than float32 nothing is said: who chooses them knows them to be coarse. every_trace: False where
    the sources' traces are kept by their last spikes and eligibilities by sweeps, which step over nothing. what: whose
    rule it is; level: of the caller to whom the warning is ascribed.
    """
    if dtype != torch.float32:
        return
    unit = torch.finfo(dtype).eps / 2
    for loss in (*_slow_traces(rule, dt, unit, every_trace), *_small_changes(rule, weight, unit)):
        warnings.warn(f"{what}{type(rule).__name__}'s {loss}: {remedy}", RuntimeWarning, stacklevel=level + 1)


def _slow_traces(rule: Rule, dt: float, unit: float, every_trace: bool) -> Iterator[str]:
    law = rule.law
    decaying: list[Trace | Eligibility] = [*law.post, *law.modulator]
    if every_trace:
        decaying = [*law.pre, *decaying, *law.eligibilities]
    for trace in decaying:
        tau = rule.parameters[trace.tau]
        if (error := unit * tau / dt) > TRACE_TOLERANCE:
            yield (
                f"trace {trace.name} decays in {trace.tau} = {tau:g} ms, in float32 and steps of dt = {dt:g} ms at a "
                f"rate that is wrong by up to {error:.1g} of itself; expected less than {TRACE_TOLERANCE:g}"
            )


def _small_changes(rule: Rule, weight: float, unit: float) -> Iterator[str]:
    """A change is taken at traces and eligibilities of 1, and at that weight, or the middle of the bounds where it is
    0. Rules with a modulator, whose size is not known, are judged by their spikes' changes."""
    middle = sum(rule.bounds) / 2
    w = weight or (abs(middle) if math.isfinite(middle) else 0.0)
    law = rule.law
    changes = {"on_pre": law.on_pre, "on_post": law.on_post}
    if not law.uses_modulator:
        changes["drift"] = law.drift * rule.interval if law.drift != 0 else law.drift
    values = {symbol(name): sp.Float(rule.parameters[name]) for name in law.names}
    values |= {symbol(name): sp.Integer(1) for name, _ in law.decays}
    values |= {symbol(name): sp.Integer(name.startswith("randn")) for name in law.chances}  # rand() < p holds
    rounding = unit * 2.0 ** math.floor(math.log2(max(w, 1e-30)))
    for name, change in changes.items():
        size = abs(float(change.xreplace(values | {symbol("w"): sp.Float(w)})))
        if size and rounding / size > CHANGE_TOLERANCE:
            yield (
                f"{name} changes a weight of {w:g} by {size:.2g}, which float32 rounds by up to {rounding:.2g}, "
                f"{rounding / size:.1g} of itself; expected less than {CHANGE_TOLERANCE:g}"
            )


__all__ = ["CHANGE_TOLERANCE", "TRACE_TOLERANCE", "warn_of_losses"]
