"""A population's step as a linear map of its distance from the fixed point, and what forbids that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from ranvier.engines.step_model import StepModel
from ranvier.equations import symbol
from ranvier.equations.printing import torch_function

#: powers of a step that are kept; refractory periods are at most so long
SPAN = 4096
#: what is left of a variable when its influence is over
NOTHING = 1e-30
#: delays of one projection
MOST_DELAYS = 64


@dataclass(frozen=True, eq=False)
class LinearStep:
    """One step without input: y -> step @ y, y the distance from `rest`; `held_step` while refractory.

    rest (1 or size, states); jumps (states, ports): what an input adds; threshold (1 or size,): y[0] at it; strict:
    whether it must be passed; after (1 or size, states): y after a spike; steps (1 or size,): refractory; free, held:
    powers 0 .. of the steps; horizon: steps after which `NOTHING` is left; upper, lower (states,): bounds on what a
    variable of 1 adds to y[0] in any later step.
    """

    rest: NDArray[np.float64]
    step: NDArray[np.float64]
    held_step: NDArray[np.float64]
    held: tuple[int, ...]
    jumps: NDArray[np.float64]
    threshold: NDArray[np.float64]
    strict: bool
    after: NDArray[np.float64]
    steps: NDArray[np.int64]
    free: NDArray[np.float64]
    held_powers: NDArray[np.float64]
    horizon: int
    upper: NDArray[np.float64]
    lower: NDArray[np.float64]


def obstacle(model: StepModel) -> str | None:
    """Why a population cannot go from event to event, by its equations; None where it can."""
    name = model.population.name
    if model.scheme.normals:
        return f"population {name!r} has noise"
    if model.events:
        return f"population {name!r} has events besides spikes"
    if model.scheme.linear is None or set(model.scheme.linear.names) != set(model.states):
        return f"the equations of population {name!r} are not linear with constant coefficients"
    if model.population.neuron.equations.threshold is not None and model.ceiling is None:
        return f"the threshold of population {name!r} is no bound on {model.states[0]}"
    if any(port.backgrounds for port in model.ports):
        return f"every neuron of population {name!r} has a Poisson background"
    changing = {*model.states, *model.varying}
    free = [*model.reset.values(), *([] if model.ceiling is None else [model.ceiling])]
    if {s.name for e in free for s in e.free_symbols} & changing:
        return f"the reset or threshold of population {name!r} depends on its state"
    if {s.name for e in model.result.values() for s in e.free_symbols} & set(model.varying):
        return f"the input of population {name!r} changes with time"
    if isinstance(model.threshold, sp.Le | sp.Lt):
        return f"the threshold of population {name!r} is passed from above"
    return None


def linear_step(model: StepModel, coefficients: dict[str, Tensor]) -> LinearStep | str:
    """The numbers of a population's step, or what forbids it: coefficients that differ between neurons, no rest."""
    m, name = len(model.states), model.population.name
    values = dict(coefficients)
    zero = dict.fromkeys(model.states, 0.0) | {port.input.name: 0.0 for port in model.ports}
    offset = np.stack(_evaluate(model.result, values, zero), -1)
    step = _slopes(model.result, model.states, model.states, values, zero)
    if step is None:
        return f"the time constants of population {name!r} differ between neurons"
    size = np.abs(np.linalg.eigvals(step)).max()
    if not size < 1 - 1e-9:
        return f"population {name!r} has no fixed point that it returns to"
    rest = np.linalg.solve(np.eye(m) - step, offset.T).T
    deliver = {s: model.deliver.get(s, symbol(s)) for s in model.states}
    jumps = _slopes(deliver, model.states, tuple(port.input.name for port in model.ports), values, zero)
    if jumps is None:
        return f"the synapses of population {name!r} differ between neurons"
    threshold = np.array([np.inf]) if model.ceiling is None else _evaluate({"x": model.ceiling}, values, zero)[0]
    after = np.full((1, m), np.nan)
    if model.reset:
        resets = dict(zip(model.reset, _evaluate(model.reset, values, zero), strict=True))
        after = np.stack(np.broadcast_arrays(*(
            resets[s] - rest[:, i] if s in resets else np.full(1, np.nan) for i, s in enumerate(model.states)
        )), -1)  # fmt: skip
    steps = np.zeros(1, np.int64)
    if model.refractory is not None:
        steps = np.atleast_1d(coefficients["refractory_steps"].numpy()).astype(np.int64)
        if steps.max() >= SPAN:
            return f"the refractory period of population {name!r} has {steps.max()} steps, beyond {SPAN}"
    held = tuple(model.states.index(s) for s in model.held)
    held_step = step.copy()
    held_step[list(held)] = np.eye(m)[list(held)]
    horizon = int(np.ceil(np.log(NOTHING) / np.log(size))) + 1
    free = _powers(step, min(SPAN, horizon))
    response = _envelope(step, horizon)
    return LinearStep(
        _one_or_all(rest), step, held_step, held, jumps, _one_or_all(threshold - rest[:, 0]),
        isinstance(model.threshold, sp.Gt), _one_or_all(after), _one_or_all(steps), free,
        _powers(held_step, int(steps.max()) if held else 0), horizon, *response,
    )  # fmt: skip


def _slopes(
    expressions: Any, rows: tuple[str, ...], columns: tuple[str, ...], values: dict[str, Any], zero: dict[str, float]
) -> NDArray[np.float64] | None:
    """The derivatives (rows, columns) of linear expressions; None where they differ between neurons."""
    out = np.zeros((len(rows), len(columns)))
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            slope = sp.expand(sp.diff(expressions[row], symbol(column)))
            if slope != 0:
                numbers = np.unique(_evaluate({"x": slope}, values, zero)[0])
                if len(numbers) > 1:
                    return None
                out[i, j] = numbers[0]
    return out


def _powers(step: NDArray[np.float64], last: int) -> NDArray[np.float64]:
    out = np.empty((last + 1, *step.shape))
    out[0] = np.eye(len(step))
    for k in range(last):
        out[k + 1] = step @ out[k]
    return out


def _envelope(step: NDArray[np.float64], horizon: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The largest and the smallest entries of the first row of step^n, n from 1 to the horizon."""
    row, upper, lower = step[0], step[0].copy(), step[0].copy()
    for _ in range(horizon):
        row = row @ step
        upper, lower = np.maximum(upper, row), np.minimum(lower, row)
    return np.maximum(upper, 0.0), np.minimum(lower, 0.0)


def _evaluate(expressions: Any, values: dict[str, Any], at: dict[str, float]) -> list[NDArray[Any]]:
    numbers = {k: torch.tensor(v, dtype=torch.float64) for k, v in at.items()}
    with torch.no_grad():
        out = torch_function(dict(expressions))(**values, **numbers)
    arrays = [np.atleast_1d(torch.as_tensor(out[name], dtype=torch.float64).numpy()) for name in expressions]
    size = max(len(a) for a in arrays)
    return [np.broadcast_to(a, (size,)) for a in arrays]


def _one_or_all(array: NDArray[Any]) -> NDArray[Any]:
    """One row where all rows are alike."""
    same = (array == array[:1]) | (np.isnan(array) if array.dtype.kind == "f" else False)
    return np.ascontiguousarray(array[:1] if same.all() else array)


__all__ = ["MOST_DELAYS", "LinearStep", "linear_step", "obstacle"]
