"""From a channel's or a synapse's step to the text of a kernel, which advances all of its items and adds their
currents to those of their compartments."""

from __future__ import annotations

from functools import cache

import sympy as sp

from ranvier.cables.processes import Kind
from ranvier.codegen.printing import PREAMBLE, KernelPrinter
from ranvier.equations import symbol

#: items that are worked on at once; their number is filled up to a multiple of it
CHUNK = 16
SIZE, CURRENT, SLOPE = "_size", "_current", "_slope"


def rows(kind: Kind, varied: tuple[str, ...]) -> tuple[str, ...]:
    """What an item has a number of its own for, in the order of its block of memory."""
    return (*kind.states, SIZE, *varied, CURRENT, SLOPE)


@cache
def source(kind: Kind, varied: tuple[str, ...], double: bool) -> str:
    """The kernel as Python text. Its block of memory holds the rows, (rows, items), then the scalars."""
    show = KernelPrinter().doprint
    real, width = ("float64", 8) if double else ("float32", 4)
    names = rows(kind, varied)
    scalars = [name for name in kind.names if name not in varied]
    fixed = {symbol(name) for name in (*scalars, "dt")}
    before: list[str] = []
    body = ["V = _v[_i]"]
    body += [f"{name} = _at_{name}[_b + _i]" for name in (*kind.states, SIZE, *varied)]
    for k, values in enumerate((kind.middle, kind.after)):
        if k == 1:  # currents are those of the middle
            shared, reduced = sp.cse([kind.current, kind.slope], symbols=sp.numbered_symbols("_c_"))
            _share(shared, fixed, before, body)
            body.append(f"_out, _by_V = ({show(reduced[0])})*{SIZE}, ({show(reduced[1])})*{SIZE}")
        if values:
            shared, reduced = sp.cse(list(values.values()), symbols=sp.numbered_symbols(f"_e{k}_"))
            _share(shared, fixed, before, body)
            body += [f"_new_{name} = {show(value)}" for name, value in zip(values, reduced, strict=True)]
            body += [f"{name} = _new_{name}" for name in values]
    body += [f"_at_{name}[_b + _i] = {name}" for name in kind.states]
    body += [f"_at_{CURRENT}[_b + _i] = _out", f"_at_{SLOPE}[_b + _i] = _by_V", "_o[_i] = _out", "_s[_i] = _by_V"]
    text = [
        "from numba import float32, float64, int64, void",
        PREAMBLE,
        f"_real, _first, _second, _third = _np.{real}, _scratch({CHUNK}), _scratch({CHUNK}), _scratch({CHUNK})",
        f"SIGNATURE = void(int64, int64, int64, int64, int64, int64, int64, {real})",
        "def kernel(_x, _n, _where, _V, _M, _S, _unused, dt):",
        "    _one = _real(0)",
        f"    _C = _pointer(_x + {width * len(names)}*_n, _one)",
        *(f"    {name} = _C[{k}]" for k, name in enumerate(scalars)),
        *(f"    _at_{name} = _pointer(_x + {width * k}*_n, _one)" for k, name in enumerate(names)),
        *(f"    {line}" for line in before),
        "    _places, _U = _pointer(_where, 0), _pointer(_V, _one)",
        "    _outs, _slopes = _pointer(_M, _one), _pointer(_S, _one)",
        "    _v, _o, _s = _first(_one), _second(_one), _third(_one)",
        f"    for _b in _range(0, _n, {CHUNK}):",
        f"        for _i in _range({CHUNK}):",
        "            _v[_i] = _U[_places[_b + _i]]",
        f"        for _i in _range({CHUNK}):",
        *(f"            {line}" for line in body),
        f"        for _i in _range({CHUNK}):",
        "            _k = _places[_b + _i]",
        "            _outs[_k] += _o[_i]",
        "            _slopes[_k] += _s[_i]",
    ]
    return "\n".join(text) + "\n"


def _share(
    shared: list[tuple[sp.Symbol, sp.Expr]], fixed: set[sp.Symbol], before: list[str], body: list[str]
) -> None:
    """Print common expressions; those of constants alone stand before the loop."""
    for name, value in shared:
        constant = value.free_symbols <= fixed
        if constant:
            fixed.add(name)
        (before if constant else body).append(f"{name} = {KernelPrinter().doprint(value)}")


__all__ = ["CHUNK", "CURRENT", "SIZE", "SLOPE", "rows", "source"]
