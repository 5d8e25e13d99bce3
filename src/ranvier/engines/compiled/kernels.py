"""From a population's step to the text of a kernel, which advances one tile of neurons by one step in a single
vectorised loop."""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp
from torch import Tensor

from ranvier.codegen.printing import KernelPrinter
from ranvier.engines.compiled.loops import TILE
from ranvier.engines.step_model import StepModel


@dataclass(frozen=True)
class Layout:
    """Where a population's numbers lie: rows of its block of memory, and scalars.

    rows: states, then one-a-neuron coefficients, then inputs that vary; scalars: the other coefficients.
    """

    rows: tuple[str, ...]
    scalars: tuple[str, ...]
    ports: int
    normals: int


def layout(model: StepModel, coefficients: dict[str, Tensor]) -> Layout:
    """Scalars stay scalars; what differs between neurons takes a row."""
    rows = list(model.states)
    if model.refractory is not None:
        rows.append("refractory_left")
    rows += [name for name, value in coefficients.items() if value.ndim == 1]
    rows += [name for name in model.varying if name != "t" and not name.startswith("in_")]
    scalars = tuple(name for name, value in coefficients.items() if value.ndim == 0)
    return Layout(tuple(rows), scalars, len(model.ports), model.scheme.normals)


def source(model: StepModel, where: Layout, double: bool) -> str:
    """The kernel as Python text."""
    # all names but the model's begin with an underscore, which no name of the user's does
    show = KernelPrinter().doprint
    real, width = ("float64", 8) if double else ("float32", 4)
    load, body, store = [], [], []
    # the first input is read before the refractory test, for delta jumps that meet a refractory neuron
    for k, name in enumerate(where.rows):
        load.append(f"_at_{name} = _pointer(_x + {width} * ({k} * _n + _lo), _real(0))")
        body.append(f"{name} = _at_{name}[_i]")
    load += [f"{name} = _C[{k}]" for k, name in enumerate(where.scalars)]
    for k in range(where.ports):
        load.append(f"_at_in_{k} = _pointer(_inputs + {width} * ({k} * _n + _lo), _real(0))")
        body.append(f"in_{k} = _at_in_{k}[_i]")
    for k in range(where.normals):
        load.append(f"_at_N_{k} = _pointer(_noise + 4 * {k} * _stride, _np.float32(0))")
        body.append(f"N_{k} = _real(_at_N_{k}[_i])")
    if model.refractory is not None:
        body.append("_free = refractory_left <= _real(0.0)")
    soma = model.states[0]
    held = model.refractory is not None and model.holds
    for name, value in model.deliver.items():
        printed = show(value)
        if name == soma and held:
            body.append(f"_held = {soma}")
            body.append(f"{soma} = {printed} if _free else {soma}")
        else:
            body.append(f"{name} = {printed}")
    if held and soma not in model.deliver:
        body.append(f"_held = {soma}")
    body += _compute(model, show)
    for name in model.states:
        if held and name == soma:
            body.append(f"{name} = _new_{name} if _free else _held")
        else:
            body.append(f"{name} = _new_{name}")
    body += _spike(model, show)
    store += [f"_at_{name}[_i] = {name}" for name in model.states]
    store += [f"_at_in_{k}[_i] = _real(0.0)" for k in range(where.ports)]
    if model.refractory is not None:
        store.append("_at_refractory_left[_i] = refractory_left")
    functions = ["abs", "cos", "cosh", "exp", "exprel", "log", "maximum", "minimum", "power", "sin", "sinh"]
    functions += ["sqrt", "tanh", "where"]
    lines = [
        "from numba import float32, float64, int64, void",
        "import numpy as _np",
        "from ranvier.codegen import simd as _simd",
        "from ranvier.codegen.pointers import pointer as _pointer",
        *(f"_{name} = _simd.{name}{'_' if name == 'abs' else ''}" for name in functions),
        f"_real = _np.{real}",
        f"SIGNATURE = void(int64, int64, int64, int64, int64, int64, int64, {real})",
        "def kernel(_x, _n, _lo, _inputs, _noise, _stride, _spiked, t):",
        f"    _C = _pointer(_x + {width} * {len(where.rows)} * _n, _real(0))",
        "    _S = _pointer(_spiked + _lo, _np.uint8(0))",
        *(f"    {line}" for line in load),
        f"    for _i in range({TILE}):",
        *(f"        {line}" for line in [*body, *store]),
    ]
    return "\n".join(lines) + "\n"


def _compute(model: StepModel, show) -> list[str]:
    lines = [f"{name} = {show(value)}" for name, value in model.statements]
    shared, reduced = sp.cse(list(model.result.values()), symbols=sp.numbered_symbols("_e_"))
    lines += [f"{name} = {show(value)}" for name, value in shared]
    lines += [f"_new_{name} = {show(value)}" for name, value in zip(model.result, reduced, strict=True)]
    return lines


def _spike(model: StepModel, show) -> list[str]:
    if model.threshold is None:
        return []
    lines = []
    if model.refractory is None:
        lines.append(f"_spike = {show(model.threshold)}")
    else:
        lines.append(f"_spike = _free & {show(model.threshold)}")
        lines.append("_left = refractory_left - _real(1.0) if refractory_left > _real(0.0) else _real(0.0)")
        lines.append("refractory_left = refractory_steps if _spike else _left")
    lines += [f"_after_{name} = {show(value)}" for name, value in model.reset.items()]
    lines += [f"{name} = _after_{name} if _spike else {name}" for name in model.reset]
    lines.append("_S[_i] = _np.uint8(1) if _spike else _np.uint8(0)")
    return lines
