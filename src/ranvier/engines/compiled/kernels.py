"""From a population's step to the text of a kernel, which advances one tile of neurons by one step in a single
vectorised loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray
from torch import Tensor

from ranvier.codegen.printing import PREAMBLE, KernelPrinter
from ranvier.engines.compiled.loops import TILE
from ranvier.engines.protocol import REFRACTORY
from ranvier.engines.step_model import StepModel

#: what partners by continuous synapses read of V: at the step's start, once what arrives has come, and at its end; and
#: by how much the latter changed last
BEGIN, GUESS, CHANGE = "_begin", "_guess", "_change"


@dataclass(frozen=True)
class KernelLayout:
    """Where a population's numbers lie: rows of its block of memory, and scalars.

    rows: states, then one-a-neuron coefficients, inputs that vary, and what continuous synapses bring; scalars: the
    other coefficients. Where `paired`, the step is computed in float64 and a number x is kept as two of float32,
    those of the names x and `low(x)`.
    """

    rows: tuple[str, ...]
    scalars: tuple[str, ...]
    ports: int
    normals: int
    paired: bool = False

    def numbers(self, values: Mapping[str, Any], real: Any) -> dict[str, NDArray[Any]]:
        """The values of rows and scalars in the precision `real`, from float64 ones by name."""
        out = {}
        for name, value in values.items():
            exact = np.asarray(value, np.float64)
            with np.errstate(over="ignore"):
                out[name] = exact.astype(real)
            if (np.isinf(out[name]) & np.isfinite(exact)).any():
                raise ValueError(
                    f"{name} is up to {np.abs(exact).max():g}, beyond the largest number of float32; expected at most "
                    f"{np.finfo(np.float32).max:.2g}: use smaller values, or dtype=torch.float64"
                )
            out[low(name)] = (exact - out[name]).astype(real)
        return {name: out[name] for name in (*self.rows, *self.scalars) if name in out}


def low(name: str) -> str:
    """The name of the second half of a pair."""
    return f"_low_{name}"


def carried(model: StepModel, where: KernelLayout) -> tuple[str, ...]:
    """The rows that a run goes on from: all but coefficients and inputs."""
    names = (*model.states, REFRACTORY, BEGIN, GUESS, CHANGE)
    return tuple(name for name in names if name in where.rows)


def layout(
    model: StepModel, coefficients: dict[str, Tensor], *, paired: bool = False, sends: bool = False
) -> KernelLayout:
    """Scalars stay scalars; what differs between neurons takes a row. `sends`: V goes out by continuous synapses."""
    own = list(model.states)
    if model.refractory is not None:
        own.append(REFRACTORY)
    own += [name for name, value in coefficients.items() if value.ndim == 1]
    series = [name for name in model.varying if name in model.population.parameters or name == "external"]
    coupled = [x.name for port in model.coupled for x in (port.input, port.end)] + [BEGIN, GUESS] * sends
    scalars = [name for name, value in coefficients.items() if value.ndim == 0]
    pairs = [low(name) for name in (*own, *coupled)] if paired else []
    rows = (*own, *series, *coupled, *pairs, *[CHANGE] * sends)
    scalars += [low(name) for name in scalars] if paired else []
    return KernelLayout(rows, tuple(scalars), len(model.ports), model.scheme.normals, paired)


def source(model: StepModel, where: KernelLayout, double: bool, *, guess: bool = False) -> str:
    """The kernel as Python text; `guess`: the one that only computes where V gets to, for its partners."""
    # all names but the model's begin with an underscore, which no name of the user's does
    show = KernelPrinter().doprint
    stored, width = ("float64", 8) if double else ("float32", 4)
    real = "float64" if where.paired else stored
    lines = _KernelLines(where, stored, width)
    coupled = {port.index for port in model.coupled}
    for k, name in enumerate(where.rows):
        lines.row(k, name)
    for k, name in enumerate(where.scalars):
        lines.scalar(k, name)
    # inputs are read before the refractory test, for delta jumps that meet a refractory neuron
    events = [k for k in range(where.ports) if k not in coupled]
    for k in events:
        lines.load.append(f"_at_in_{k} = _pointer(_inputs + {width} * ({k} * _n + _lo), _stored(0))")
        lines.body.append(f"in_{k} = _real(_at_in_{k}[_i])")
    for k in range(where.normals):
        lines.load.append(f"_at_N_{k} = _pointer(_noise + 4 * {k} * _stride, _np.float32(0))")
        lines.body.append(f"N_{k} = _real(_at_N_{k}[_i])")
    lines.body += _advance(model, show, guess)
    if guess:
        lines.body += _guess(model, show)
        lines.store(BEGIN)
        lines.store(GUESS)
        lines.store(CHANGE)
    else:
        lines.body += _spike(model, show)
        for name in (*model.states, *[REFRACTORY] * (model.refractory is not None)):
            lines.store(name)
        lines.body += [f"_at_in_{k}[_i] = _stored(0.0)" for k in events]
    text = [
        "from numba import float32, float64, int64, void",
        PREAMBLE,
        f"_real, _stored = _np.{real}, _np.{stored}",
        "SIGNATURE = void(int64, int64, int64, int64, int64, int64, int64, float64)",
        "def kernel(_x, _n, _lo, _inputs, _noise, _stride, _spiked, _t):",
        "    t = _real(_t)",
        f"    _C = _pointer(_x + {width} * {len(where.rows)} * _n, _stored(0))",
        "    _S = _pointer(_spiked + _lo, _np.uint8(0))",
        *(f"    {line}" for line in lines.load),
        f"    for _i in _range({TILE}):",
        *(f"        {line}" for line in lines.body),
    ]
    return "\n".join(text) + "\n"


class _KernelLines:
    """A kernel's reads and writes, of plain numbers and of pairs."""

    def __init__(self, where: KernelLayout, stored: str, width: int) -> None:
        self.where, self.stored, self.width = where, stored, width
        self.load: list[str] = []
        self.body: list[str] = []

    def row(self, k: int, name: str) -> None:
        self.load.append(f"_at_{name} = _pointer(_x + {self.width} * ({k} * _n + _lo), _stored(0))")
        if name.startswith("_low_") or name == CHANGE:
            return
        value = f"_at_{name}[_i]"
        if low(name) in self.where.rows:
            value = f"_real({value}) + _real(_at_{low(name)}[_i])"
        elif self.where.paired:
            value = f"_real({value})"
        self.body.append(f"{name} = {value}")

    def scalar(self, k: int, name: str) -> None:
        if name.startswith("_low_"):
            return
        value = f"_C[{k}]"
        if low(name) in self.where.scalars:
            value = f"_real({value}) + _real(_C[{self.where.scalars.index(low(name))}])"
        self.load.append(f"{name} = {value}")

    def store(self, name: str) -> None:
        if low(name) in self.where.rows:
            self.body.append(f"_high = _stored({name})")
            self.body.append(f"_at_{name}[_i] = _high")
            self.body.append(f"_at_{low(name)}[_i] = _stored({name} - _real(_high))")
        else:
            self.body.append(f"_at_{name}[_i] = {f'_stored({name})' if self.where.paired else name}")


def _advance(model: StepModel, show: Callable[[Any], str], begin: bool = False) -> list[str]:
    """Deliver and integrate; what is held of a refractory neuron stays."""
    soma = model.states[0]
    lines = ["_free = refractory_left <= _real(0.0)"] if model.refractory is not None else []
    for name, value in model.deliver.items():
        printed = show(value)
        if name in model.held:
            lines.append(f"{name} = {printed} if _free else {name}")
        else:
            lines.append(f"{name} = {printed}")
    lines += [f"_held_{name} = {name}" for name in model.held]
    lines += [] if model.start is None else [f"{model.start} = {soma}"]
    if begin:
        lines.append(f"{BEGIN} = {soma}")
    lines += [f"{name} = {show(value)}" for name, value in model.statements]
    shared, reduced = sp.cse(list(model.result.values()), symbols=sp.numbered_symbols("_e_"))
    lines += [f"{name} = {show(value)}" for name, value in shared]
    lines += [f"_new_{name} = {show(value)}" for name, value in zip(model.result, reduced, strict=True)]
    for name in model.states:
        if name in model.held:
            lines.append(f"{name} = _new_{name} if _free else _held_{name}")
        else:
            lines.append(f"{name} = _new_{name}")
    return lines


def _guess(model: StepModel, show: Callable[[Any], str]) -> list[str]:
    soma = model.states[0]
    top = soma if model.ceiling is None else f"_minimum({soma}, {show(model.ceiling)})"
    return [f"_before = {GUESS}", f"{GUESS} = {top}", f"{CHANGE} = _abs({GUESS} - _before)"]


def _spike(model: StepModel, show: Callable[[Any], str]) -> list[str]:
    """Threshold, conditions of events, then the reset and what the events do."""
    conditions = [f"_event_{k} = {show(event.condition)}" for k, event in enumerate(model.events)]
    changes = [line for k, e in enumerate(model.events) for line in _changed(e.statements, f"_event_{k}", show)]
    if model.threshold is None:
        return [*conditions, *changes]
    lines = []
    if model.refractory is None:
        lines.append(f"_spike = {show(model.threshold)}")
    else:
        lines.append(f"_spike = _free & {show(model.threshold)}")
        lines.append("_left = refractory_left - _real(1.0) if refractory_left > _real(0.0) else _real(0.0)")
        lines.append("refractory_left = refractory_steps if _spike else _left")
    spiked = "_S[_i] = _np.uint8(1) if _spike else _np.uint8(0)"
    return [*lines, *conditions, *_changed(model.reset, "_spike", show), *changes, spiked]


def _changed(values: Mapping[str, Any], where: str, show: Callable[[Any], str]) -> list[str]:
    """Variables take new values, each computed from all old ones."""
    lines = [f"_after_{name} = {show(value)}" for name, value in values.items()]
    return lines + [f"{name} = _after_{name} if {where} else {name}" for name in values]
