"""A `Step` as two compiled loops over time: forward, and its adjoint derived from the same equations.

A loop takes a block of (batch, neurons) through some steps while its states stay in the cache. What the adjoint
needs of the forward step is not kept for the whole sequence: the loops of `_blocks` keep the states every few
steps and run the forward loop again from there, into a *tape* that stays in the cache (Griewank & Walther 2000).
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import ranvier
from ranvier.codegen.cache import folder as cache_folder
from ranvier.codegen.compilation import kernel_address
from ranvier.engines.surrogates import slope_formula
from ranvier.nn.spiking.step import Step, call_of, expression_of, kernel_text, names_in

if TYPE_CHECKING:
    import sympy as sp

_FUNCTIONS = ("exp", "log", "sqrt", "sin", "cos", "tanh", "cosh", "sinh", "power", "exprel", "minimum", "maximum",
              "where", "exprel_slope", "over_exprel", "fma", "floor", "whole")  # fmt: skip


@dataclass(frozen=True)
class Kernel:
    """A compiled loop and the arrays it takes, in the order of its table of addresses.

    sequences are (T, B, N); the tape (T, block); states, changed in place, (B, N); constants (N,); sums over time
    (B, N), added to.
    """

    address: int
    sequences: tuple[str, ...]
    tape: tuple[str, ...]
    states: tuple[str, ...]
    constants: tuple[str, ...]
    sums: tuple[str, ...]

    @property
    def order(self) -> tuple[str, ...]:
        """All arrays."""
        return (*self.sequences, *self.tape, *self.states, *self.constants, *self.sums)


@cache
def forward_kernel(step: Step, double: bool, tape: tuple[str, ...]) -> Kernel:
    """Reads the input; writes the output and the tape; takes the states along."""
    names = tuple(name for name, _ in step.states)
    states = tuple(f"state_{name}" for name in names)
    constants = tuple(f"constant_{name}" for name in step.parameters)
    places = tuple(f"tape_{name}" for name in tape)
    body = [f"{step.input} = _at_in[_i]"]
    body += [f"{name} = _at_state_{name}[_i]" for name in names]
    body += [f"{name} = _at_constant_{name}[_i]" for name in step.parameters]
    body += [f"{name} = {kernel_text(right, step.strict)}" for name, right in step.equations]
    body.append(f"_at_out[_i] = {step.output}")
    body += [f"_at_tape_{name}[_i] = {name}" for name in tape]
    body += [f"_at_state_{name}[_i] = {new}" for name, new in step.states]
    arrays = (("in", "out"), places, states, constants, ())
    # no fused multiply-add: the same roundings as torch
    return Kernel(kernel_address(_text(body, *arrays, double, reverse=False, fastmath="()")), *arrays)


@dataclass(frozen=True)
class Adjoint:
    """The reversed step as text, and what it needs.

    `results` are (name, text) of the gradients by the input, the states before the step and the learned constants:
    "g_in", "carry_..." and what a step adds to "sum_...".
    """

    lines: tuple[str, ...]
    results: tuple[tuple[str, str], ...]
    tape: tuple[str, ...]
    constants: tuple[str, ...]


@cache
def adjoint(step: Step, learned: tuple[str, ...], slope: str) -> Adjoint:
    """The chain rule backwards through the equations; gradients by `learned` constants are summed.

    Kept beside the kernels made of it: to import SymPy takes longer than all else before a first sequence.
    """
    content = repr((step.key, learned, slope, ranvier.__version__)).encode() + Path(__file__).read_bytes()
    key = f"adjoint_{hashlib.sha256(content).hexdigest()[:24]}"
    if (body := cache_folder.read(key)) is not None:
        parts = json.loads(body)
        results = tuple((name, text) for name, text in parts["results"])
        return Adjoint(tuple(parts["lines"]), results, tuple(parts["tape"]), tuple(parts["constants"]))
    derived = _derive(step, learned, slope)
    cache_folder.write(key, json.dumps(asdict(derived)).encode())
    return derived


def _derive(step: Step, learned: tuple[str, ...], slope: str) -> Adjoint:
    import sympy as sp

    from ranvier.codegen.printing import KernelPrinter
    from ranvier.equations import symbol

    show = KernelPrinter().doprint
    detached = {name for name, right in step.equations if (call_of(right) or "")[:1] == ("detach",)}
    lines: list[str] = []
    needed: dict[str, None] = {}  # names of the forward step, in order of use
    terms: dict[str, list[sp.Expr]] = {step.output: [symbol("_from_out")]}
    for name, new in step.states:
        terms.setdefault(new, []).append(symbol(f"_carry_{name}"))

    def total(name: str) -> str:
        value = sp.Add(*terms.pop(name, []))
        used = sorted(s.name for s in value.free_symbols)
        needed.update(dict.fromkeys(n for n in used if not n.startswith("_")))
        return show(value)

    for name, right in reversed(step.equations):
        if name not in terms:
            continue
        call = call_of(right)
        if call is not None and call[0] == "detach":
            del terms[name]
            continue
        lines.append(f"_g_{name} = {total(name)}")
        g = symbol(f"_g_{name}")
        if call is not None:
            distance = call[1]
            needed[distance] = None
            formula = slope_formula(slope).xreplace({symbol("x"): symbol("_z")})
            lines += [f"_z = {distance}*_per_width", f"_slope = ({show(formula)})*_per_width"]
            terms.setdefault(distance, []).append(g * symbol("_slope"))
            continue
        expression = expression_of(right)
        for n in names_in(right):
            if n not in detached and (n in learned or n not in step.parameters):
                # what the step has evaluated is not evaluated again: (exp u)' = exp u
                partial = sp.diff(expression, symbol(n))
                if expression.is_Function and not isinstance(expression, sp.Piecewise):
                    partial = partial.xreplace({expression: symbol(name)})
                if partial != 0:
                    terms.setdefault(n, []).append(g * partial)
    results = [("g_in", total(step.input))]
    results += [(f"carry_{name}", total(name)) for name, _ in step.states]
    results += [(f"sum_{name}", total(name)) for name in learned]
    for name, right in reversed(step.equations):  # spikes follow from their distance: no need to keep them
        if name in needed and (call := call_of(right)):
            del needed[name]
            needed[call[1]] = None
            lines.insert(0, f"{name} = {kernel_text(right, step.strict)}")
    tape = tuple(n for n in needed if n not in step.parameters)
    return Adjoint(tuple(lines), tuple(results), tape, tuple(n for n in needed if n in step.parameters))


@cache
def backward_kernel(step: Step, double: bool, learned: tuple[str, ...], slope: str) -> Kernel:
    """Reads the output's gradient and the tape; writes the input's; takes the states' gradients along."""
    derived = adjoint(step, learned, slope)
    carries = tuple(f"carry_{name}" for name, _ in step.states)
    constants = tuple(f"constant_{name}" for name in derived.constants)
    body = ["_from_out = _at_g_out[_i]"]
    body += [f"{name} = _at_tape_{name}[_i]" for name in derived.tape]
    body += [f"{name} = _at_constant_{name}[_i]" for name in derived.constants]
    body += [f"_{name} = _at_{name}[_i]" for name in carries]
    body += derived.lines
    body += [f"_at_{name}[_i] {'+=' if name.startswith('sum_') else '='} {value}" for name, value in derived.results]
    arrays = (("g_out", "g_in"), tuple(f"tape_{name}" for name in derived.tape), carries, constants,
              tuple(f"sum_{name}" for name in learned))  # fmt: skip
    text = _text(body, *arrays, double, reverse=True, fastmath="_FASTMATH")
    return Kernel(kernel_address(text), *arrays)


def _text(
    body: list[str],
    sequences: tuple[str, ...],
    tape: tuple[str, ...],
    states: tuple[str, ...],
    constants: tuple[str, ...],
    sums: tuple[str, ...],
    double: bool,
    *,
    reverse: bool,
    fastmath: str,
) -> str:
    """The loop as Python text; `_table` holds the addresses of all arrays in this order.

    `_keep` 0: the second sequence is written to one row only, where the tape alone is needed.
    """
    real, width = ("float64", 8) if double else ("float32", 4)
    order = [*sequences, *tape, *states, *constants, *sums]
    place = {name: f"_pointer(_a_{name} + {width} * {{}}, _real(0))" for name in order}
    second = sequences[1]
    time = "range(_T - 1, -1, -1)" if reverse else "range(_T)"
    lines = [
        "from numba import float64, int64, void",
        "import numpy as _np",
        "from ranvier.codegen.arithmetic import simd as _simd",
        "from ranvier.codegen.compilation import FASTMATH as _FASTMATH",
        "from ranvier.codegen.pointers import pointer as _pointer",
        "from ranvier.codegen.arrays import array as _array",
        "_abs = _simd.abs_",
        *(f"_{name} = _simd.{name}" for name in _FUNCTIONS),
        f"_real = _np.{real}",
        "_zero, _one = _real(0), _real(1)",
        *(f"_load_{name}, _store_{name} = _array({k}, {len(order)})" for k, name in enumerate(order)),
        f"SIGNATURE = void({', '.join(['int64'] * 9)}, float64)",
        f"FASTMATH = {fastmath}",
        "def kernel(_table, _T, _B, _N, _b0, _b1, _n0, _n1, _keep, _width):",
        "    _A = _pointer(_table, 0)",
        "    _per_width = _one/_real(_width)",
        *(f"    _a_{name} = _A[{k}]" for k, name in enumerate(order)),
        *(f"    _at_{name} = {place[name].format('_n0')}" for name in constants),
        f"    for _t in {time}:",
        "        for _b in range(_b0, _b1):",
        "            _o = (_t*_B + _b)*_N + _n0",
        "            _c = (_t*(_b1 - _b0) + _b - _b0)*(_n1 - _n0)",
        *(f"            _at_{name} = {place[name].format('_o')}" for name in sequences if name != second),
        f"            _at_{second} = {place[second].format('_keep*_o')}",
        *(f"            _at_{name} = {place[name].format('_c')}" for name in tape),
        *(f"            _at_{name} = {place[name].format('(_b*_N + _n0)')}" for name in (*states, *sums)),
        "            for _i in range(_n1 - _n0):",
        *(f"                {_in_memory(line)}" for line in body),
    ]
    return "\n".join(lines) + "\n"


def _in_memory(line: str) -> str:
    """Reads and writes of arrays as those of `_arrays`."""
    line = re.sub(r"^_at_(\w+)\[_i\] \+= (.*)$", r"_at_\1[_i] = _at_\1[_i] + (\2)", line)
    line = re.sub(r"^_at_(\w+)\[_i\] = (.*)$", r"_store_\1(_at_\1, _i, \2)", line)
    return re.sub(r"_at_(\w+)\[_i\]", r"_load_\1(_at_\1, _i)", line)
