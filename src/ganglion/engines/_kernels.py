"""From a population's step to machine code: prints a kernel, keeps it in the user's cache, compiles it.

A kernel advances one tile of neurons by one step in a single vectorised loop. numba caches only what lies
in a file, so kernels are written to a folder keyed by their text, what it imports of this package, and the versions.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import sympy as sp
from torch import Tensor

from ganglion.engines._loops import TILE
from ganglion.engines._model import StepModel
from ganglion.equations._printing import KernelPrinter


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
        "from numba import cfunc, float32, float64, int64, void",
        "import numpy as _np",
        "from ganglion.engines import _simd",
        "from ganglion.engines._machine import pointer as _pointer",
        *(f"_{name} = _simd.{name}{'_' if name == 'abs' else ''}" for name in functions),
        f"_real = _np.{real}",
        f"SIGNATURE = void(int64, int64, int64, int64, int64, int64, int64, {real})",
        '@cfunc(SIGNATURE, cache=True, nopython=True, error_model="numpy", fastmath=_simd.FASTMATH)',
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


def cache_folder() -> Path:
    """Where kernels are kept: $GANGLION_CACHE_DIR, or `ganglion/kernels` in the user's cache folder."""
    if given := os.environ.get("GANGLION_CACHE_DIR"):
        return Path(given)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", "~")
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "ganglion" / "kernels"


_compiled: dict[str, object] = {}


def compile_kernel(text: str) -> int:
    """The address of the compiled kernel, from memory, the cache on disk, or the compiler."""
    import numba

    import ganglion
    from ganglion._files import write_atomic

    versions = f"{ganglion.__version__} {numba.__version__} {sys.version_info[:2]}".encode()
    key = hashlib.sha256(text.encode() + _imported(text) + versions).hexdigest()[:24]
    if key not in _compiled:
        path = cache_folder() / f"kernel_{key}.py"
        if not path.exists() or path.read_bytes() != text.encode():
            write_atomic(path, text)
        try:
            _compiled[key] = _load(path)
        except Exception:
            # a damaged cache fails in many ways: compile anew, once
            damaged = list((path.parent / "__pycache__").glob(f"{path.stem}.*"))
            if not damaged:
                raise
            for file in damaged:
                file.unlink(missing_ok=True)
            _compiled[key] = _load(path)
    return _compiled[key].address  # type: ignore[attr-defined]


def _imported(text: str) -> bytes:
    """The package's own modules that a kernel's text imports, which become part of its machine code."""
    found = sorted(re.findall(r"^from (ganglion[\w.]*) import (\w+)", text, re.MULTILINE))
    return b"".join(_source(f"{package}.{name}") or _source(package) for package, name in found)


@cache
def _source(module: str) -> bytes:
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:  # a name within a module
        return b""
    return b"" if spec is None or spec.origin is None else Path(spec.origin).read_bytes()


def _load(path: Path) -> object:
    name = f"ganglion_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise OSError(f"the kernel {path} cannot be loaded; delete the folder {path.parent} and try again")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # numba's cache imports it by name
    spec.loader.exec_module(module)
    return module.kernel
