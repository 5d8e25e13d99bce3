"""A `Step` as two Triton kernels over time, printed from the equations and the adjoint of `_kernels`.

A program takes a few neurons of the batch through all steps, its states in registers. A step of a LIF is five
operations on one number read and one written, so bytes decide. Forward and back these are 4 numbers a step (x, y and
their gradients). To keep what the adjoint needs of every step, a tape of k numbers, is to write and read k more. To
keep the s states every L steps, and on the way back to read x again and take those steps once more, is 1 + 2 s/L
more: with L = 8, a LIF's 5.25 numbers instead of 6 where nothing is learned (k = 1), and instead of 8 or 10 where
its constants are (k = 2, 3); the memory held between the ways is that of x, plus an eighth, instead of k times that.
So the way back takes L steps forward into a tape in registers, then L back. Registers have no index, so a segment's
steps are written out one after another, which also lets a program ask for L rows of memory before it uses the first.
Beyond L = 8 little is left to gain, and both registers (80 of 255 a thread for a LIF that learns all, 144 at 16)
and the time to compile, which goes with the square of the text, grow.

A learned constant's gradient is summed over time in registers and goes out as one number a neuron and batch entry,
which torch adds up: no sum depends on the order in which programs run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from ranvier.nn.spiking._kernels import Adjoint, adjoint
from ranvier.nn.spiking.step import Step, kernel_text

_FUNCTIONS = ("exp", "log", "sqrt", "sin", "cos", "tanh", "cosh", "sinh", "power", "exprel", "exprel_slope",
              "minimum", "maximum", "where", "floor", "whole")  # fmt: skip
_REGISTERS = 96  # 32-bit ones a thread that a tape, with the rows requested, may take
_LINES = 150  # of text that a segment may have: seconds of compilation
_LONGEST = 8  # steps from one state that is kept to the next
#: whole numbers that every kernel takes: steps, segments, batch × neurons, neurons
SIZES = ("_T", "_S", "_M", "_N")


@dataclass(frozen=True)
class KernelSource:
    """A kernel as Python text; it takes the `arrays` in this order, `SIZES`, and how many neurons a program has.

    in, out, from_out, g_in are (T, B, N); kept (segments, states, B, N); per_width (1,); constants (N,); all others
    (B, N), changed in place.
    """

    text: str
    arrays: tuple[str, ...]


def segment(step: Step, derived: Adjoint | None, double: bool, steps: int) -> int:
    """How many steps lie between two states that are kept; `found` where there is a way back."""
    tape, lines = (len(derived.tape), len(derived.lines) + len(derived.results)) if derived else (0, 0)
    words = (tape + 2) * (2 if double else 1)
    return max(1, min(_REGISTERS // words, _LINES // (len(step.equations) + lines), _LONGEST, steps))


@cache
def forward_source(step: Step, double: bool, length: int, keep: bool) -> KernelSource:
    """Reads the input; writes the output and, where requested, the states every `length` steps."""
    names = [name for name, _ in step.states]
    arrays = ("in", "out", *(("kept",) if keep else ()), *(f"state_{name}" for name in names),
              *(f"constant_{name}" for name in step.parameters))  # fmt: skip
    before = [f"{name} = _tl.load(_at_constant_{name} + _n)" for name in step.parameters]
    before += [f"_state_{name} = _tl.load(_at_state_{name} + _i)" for name in names]
    body = [f"_tl.store({_stored(step, k)}, _state_{name}, mask=_here)" for k, name in enumerate(names) if keep]
    body += _rows(length, "in")
    for j in range(length):
        body += _step(step, j)
        body.append(f"_live = _s * {length} + {j} < _T")
        body.append(f"_tl.store(_at_out + _row_{j}, {step.output}, mask=_here & _live)")
        body += [f"_state_{name} = _where(_live, {new}, _state_{name})" for name, new in step.states]
    after = [f"_tl.store(_at_state_{name} + _i, _state_{name}, mask=_here)" for name in names]
    return KernelSource(_text(arrays, before, ["for _s in _tl.range(_S):", *_indented(body)], after, double), arrays)


@cache
def backward_source(step: Step, double: bool, length: int, learned: tuple[str, ...], slope: str) -> KernelSource:
    """Reads the input, the output's gradient and the states kept; writes the input's gradient, and takes those of
    the states along."""
    derived, names = adjoint(step, learned, slope), [name for name, _ in step.states]
    carried = [f"carry_{name}" for name in names] + [f"sum_{name}" for name in learned]
    arrays = ("in", "from_out", "g_in", "kept", "per_width", *carried,
              *(f"constant_{name}" for name in step.parameters))  # fmt: skip
    before = [f"{name} = _tl.load(_at_constant_{name} + _n)" for name in step.parameters]
    before += [f"_{name} = _tl.load(_at_{name} + _i)" for name in carried]
    before.append("_per_width = _tl.load(_at_per_width)")
    body = ["_s = _S - 1 - _k", *_rows(length, "in", "from_out")]
    body += [f"_state_{name} = _tl.load({_stored(step, k)})" for k, name in enumerate(names)]
    for j in range(length):
        body += _step(step, j)
        body += [f"_tape_{name}_{j} = {name}" for name in derived.tape]
        body += [f"_state_{name} = {new}" for name, new in step.states]
    for j in range(length - 1, -1, -1):
        body += _back(derived, length, j)
    after = [f"_tl.store(_at_{name} + _i, _{name}, mask=_here)" for name in carried]
    return KernelSource(_text(arrays, before, ["for _k in _tl.range(_S):", *_indented(body)], after, double), arrays)


def _step(step: Step, j: int) -> list[str]:
    """The j-th step of a segment."""
    lines = [f"{step.input} = _in_{j}", *(f"{name} = _state_{name}" for name, _ in step.states)]
    return lines + [f"{name} = {_chosen(kernel_text(right, step.strict))}" for name, right in step.equations]


def _back(derived: Adjoint, length: int, j: int) -> list[str]:
    """The j-th step of a segment, reversed; of the last segment's steps beyond T nothing remains."""
    lines = [f"{name} = _tape_{name}_{j}" for name in derived.tape]
    lines += [f"_from_out = _from_out_{j}", *map(_chosen, derived.lines), f"_live = _s * {length} + {j} < _T"]
    # all of them first: they are of the gradients as they were
    lines += [f"_new_{name} = {value}" for name, value in derived.results]
    lines.append(f"_tl.store(_at_g_in + _row_{j}, _new_g_in, mask=_here & _live)")
    for name, _ in derived.results[1:]:
        new = f"_{name} + _new_{name}" if name.startswith("sum_") else f"_new_{name}"
        lines.append(f"_{name} = _where(_live, {new}, _{name})")
    return lines


def _rows(length: int, *sequences: str) -> list[str]:
    """A segment's rows, requested before the first is used; those beyond T are the last."""
    lines = [f"_row_{j} = _tl.minimum(_s * {length} + {j}, _T - 1) * _wide + _i" for j in range(length)]
    return lines + [f"_{name}_{j} = _tl.load(_at_{name} + _row_{j})" for name in sequences for j in range(length)]


def _stored(step: Step, k: int) -> str:
    return f"_at_kept + (_s * {len(step.states)} + {k}) * _wide + _i"


def _chosen(line: str) -> str:
    """Python's choice by `if` is of single numbers; Triton's is of all neurons."""
    return re.sub(r"_one if (\w+ >=? _zero) else _zero", r"_where(\1, _one, _zero)", line)


def _indented(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def _text(arrays: tuple[str, ...], before: list[str], loop: list[str], after: list[str], double: bool) -> str:
    """A module with the kernel.

    Neurons beyond the last are the last once more, so that all reads are in bounds; what they come to is not stored.
    """
    pointers = ", ".join(f"_at_{name}" for name in arrays)
    quoted = ", ".join(repr(f"_at_{name}") for name in arrays)
    body = [
        "_zero, _one = _real(0.0), _real(1.0)",
        "_i = _tl.program_id(0) * _BLOCK + _tl.arange(0, _BLOCK)",
        "_here = _i < _M",
        "_i = _tl.minimum(_i, _M - 1)",
        "_n = _i % _N",
        "_wide = _tl.cast(_M, _tl.int64)",
        *before, *loop, *after,
    ]  # fmt: skip
    lines = [
        "import triton as _triton",
        "import triton.language as tl, triton.language as _tl",  # the interpreter knows an annotation by its text
        "from ranvier.nn.spiking.triton import mathematics as _m",
        f"_real = _m.real{64 if double else 32}",
        "_fma = _m.fma",
        "_abs = _m.abs_",
        *(f"_{name} = _m.{name}" for name in _FUNCTIONS),
        "",
        # one text serves all sizes and alignments
        f"@_triton.jit(do_not_specialize={list(SIZES)}, do_not_specialize_on_alignment=[{quoted}])",
        f"def kernel({pointers}, {', '.join(SIZES)}, _BLOCK: tl.constexpr):",
        *_indented(body),
    ]
    return "\n".join(lines) + "\n"


__all__ = ["SIZES", "KernelSource", "backward_source", "forward_source", "segment"]
