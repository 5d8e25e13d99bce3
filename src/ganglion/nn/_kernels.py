"""A `Step` as two compiled loops over time: forward, and its adjoint derived from the same equations.

A loop takes a block of (batch, neurons) through all steps while its states stay in the cache, so that memory
is passed over once: forward reads x and writes y and the *tape* (the values that the adjoint cannot derive from
others; for plain LIF the distance from threshold); backward reads the tape and y's gradient, and writes x's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import sympy as sp

from ganglion.engines._kernels import compile_kernel
from ganglion.equations._printing import KernelPrinter
from ganglion.nn._step import _NAME, Step

#: slopes of the library's surrogates, of the distance `_d` and the width `_w`; a class not here runs in torch
SLOPES = {
    "ArcTan": ("_z = _half_pi*_d/_w", "_one/(_w*(_one + _z*_z))"),
    "FastSigmoid": ("_z = _one + _abs(_d/_w)", "_one/(_w*_z*_z)"),
    "Triangle": ("_z = _one - _abs(_d/_w)", "(_z if _z > _zero else _zero)/_w"),
    "Gaussian": ("_z = _d/_w", "_exp(-_z*_z*_half)/_w"),
    "StraightThrough": ("_z = _abs(_d/_w)", "(_one if _z <= _one else _zero)/_w"),
}


@dataclass(frozen=True)
class Kernel:
    """A compiled loop and the arrays it takes, in the order of its table of addresses.

    sequences are (T, B, N); states, changed in place, (B, N); constants (N,); sums (N,), added to.
    """

    address: int
    sequences: tuple[str, ...]
    states: tuple[str, ...]
    constants: tuple[str, ...]
    sums: tuple[str, ...]


@cache
def forward_kernel(step: Step, double: bool, tape: tuple[str, ...], in_place: bool) -> Kernel:
    """Reads x; writes y and the tape (`in_place`: its first over x); takes the states along."""
    states = tuple(name for name, _ in step.states)
    places = [f"tape_{name}" for name in tape]
    body = [f"{name} = _at_{name}[_i]" for name in ("x", *states, *step.parameters)]
    body += [f"{name} = {_forward(text)}" for name, text in step.equations]
    if in_place and tape:
        places.pop(0)
        body.append(f"_at_x[_i] = {tape[0]}")  # one pointer: two to one place would stop vectorisation
    body.append(f"_at_y_out[_i] = {step.output}")
    body += [f"_at_{place}[_i] = {place.removeprefix('tape_')}" for place in places]
    body += [f"_at_{name}[_i] = {new}" for name, new in step.states]
    sequences = ("x", "y_out", *places)
    # no fused multiply-add: the same roundings as torch
    text = _text(body, sequences, states, step.parameters, (), double, reverse=False, fastmath="False")
    return Kernel(compile_kernel(text), sequences, states, step.parameters, ())


@dataclass(frozen=True)
class Adjoint:
    """The reversed step as text, and what it needs."""

    lines: tuple[str, ...]
    tape: tuple[str, ...]
    constants: tuple[str, ...]


@cache
def adjoint(step: Step, learned: tuple[str, ...], surrogate: str) -> Adjoint:
    """The chain rule backwards through the equations; gradients by `learned` constants are summed."""
    show = KernelPrinter().doprint
    detached = {name for name, text in step.equations if text.startswith("detach(")}
    lines: list[str] = []
    needed: dict[str, None] = {}  # names of the forward step, in order of use
    terms: dict[str, list[sp.Expr]] = {step.output: [sp.Symbol("_g_y_out")]}
    for name, new in step.states:
        terms.setdefault(new, []).append(sp.Symbol(f"_carry_{name}"))

    def total(name: str) -> str:
        value = sp.Add(*terms.pop(name, []))
        used = sorted(symbol.name for symbol in value.free_symbols)
        needed.update(dict.fromkeys(n for n in used if not n.startswith("_")))
        return show(value)

    for name, text in reversed(step.equations):
        if name not in terms:
            continue
        lines.append(f"_g_{name} = {total(name)}")
        g = sp.Symbol(f"_g_{name}")
        if text.startswith("spike("):
            distance, (first, slope) = _argument(text), SLOPES[surrogate]
            needed[distance] = None
            lines += [f"_d = {distance}", first, f"_slope = {slope}"]
            terms.setdefault(distance, []).append(g * sp.Symbol("_slope"))
            continue
        names = {n: sp.Symbol(n) for n in dict.fromkeys(_NAME.findall(text))}
        expression = sp.sympify(text, locals=names)
        for n, symbol in names.items():
            if n not in detached and (n in learned or n not in step.parameters):
                terms.setdefault(n, []).append(g * sp.diff(expression, symbol))
    lines.append(f"_at_g_x[_i] = {total('x')}")
    lines += [f"_at_carry_{name}[_i] = {total(name)}" for name, _ in step.states]
    lines += [f"_at_sum_{name}[_i] += {total(name)}" for name in learned]
    for name, text in reversed(step.equations):  # spikes follow from their distance: no need to keep them
        if name in needed and text.startswith(("spike(", "detach(")):
            del needed[name]
            needed[_argument(text)] = None
            lines.insert(0, f"{name} = {_forward(text)}")
    tape = tuple(n for n in needed if n not in step.parameters)
    return Adjoint(tuple(lines), tape, tuple(n for n in needed if n in step.parameters))


@cache
def backward_kernel(step: Step, double: bool, learned: tuple[str, ...], surrogate: str) -> Kernel:
    """Reads y's gradient and the tape; writes x's gradient; takes the states' gradients along."""
    found = adjoint(step, learned, surrogate)
    sequences = ("g_y_out", "g_x", *(f"tape_{name}" for name in found.tape))
    carries = tuple(f"carry_{name}" for name, _ in step.states)
    sums = tuple(f"sum_{name}" for name in learned)
    body = ["_g_y_out = _at_g_y_out[_i]"]
    body += [f"{name} = _at_tape_{name}[_i]" for name in found.tape]
    body += [f"{name} = _at_{name}[_i]" for name in found.constants]
    body += [f"_{name} = _at_{name}[_i]" for name in carries]
    body += found.lines
    text = _text(
        body, sequences, carries, found.constants, sums, double, reverse=True, fastmath="_simd.FASTMATH"
    )
    return Kernel(compile_kernel(text), sequences, carries, found.constants, sums)


def _argument(text: str) -> str:
    """d of "spike(d)"."""
    return text[text.index("(") + 1 : -1]


def _forward(text: str) -> str:
    """An equation as kernel text."""
    if text.startswith("spike("):
        return f"_one if {_argument(text)} >= _zero else _zero"
    return _argument(text) if text.startswith("detach(") else text


def _text(
    body: list[str],
    sequences: tuple[str, ...],
    states: tuple[str, ...],
    constants: tuple[str, ...],
    sums: tuple[str, ...],
    double: bool,
    *,
    reverse: bool,
    fastmath: str,
) -> str:
    """The loop as Python text. A: addresses of all arrays in this order, each of (.., N) contiguous."""
    real, width = ("float64", 8) if double else ("float32", 4)
    order = [*sequences, *states, *constants, *sums]
    place = {name: f"_pointer(_a_{name} + {width} * {{}}, _real(0))" for name in order}
    time = "range(_T - 1, -1, -1)" if reverse else "range(_T)"
    lines = [
        "from numba import cfunc, float64, int64, void",
        "import numpy as _np",
        "from ganglion.engines import _simd",
        "from ganglion.engines._machine import pointer as _pointer",
        "_abs, _exp = _simd.abs_, _simd.exp",
        f"_real = _np.{real}",
        "_zero, _one, _half, _half_pi = _real(0), _real(1), _real(0.5), _real(_np.pi / 2)",
        f"@cfunc(void({', '.join(['int64'] * 8)}, float64), cache=True, nopython=True, "
        f'error_model="numpy", fastmath={fastmath})',
        "def kernel(_table, _T, _B, _N, _b0, _b1, _n0, _n1, _width):",
        "    _A = _pointer(_table, 0)",
        "    _w = _real(_width)",
        *(f"    _a_{name} = _A[{k}]" for k, name in enumerate(order)),
        *(f"    _at_{name} = {place[name].format('_n0')}" for name in (*constants, *sums)),
        f"    for _t in {time}:",
        "        for _b in range(_b0, _b1):",
        "            _o = (_t * _B + _b) * _N + _n0",
        *(f"            _at_{name} = {place[name].format('_o')}" for name in sequences),
        *(f"            _at_{name} = {place[name].format('(_b * _N + _n0)')}" for name in states),
        "            for _i in range(_n1 - _n0):",
        *(f"                {line}" for line in body),
    ]
    return "\n".join(lines) + "\n"
