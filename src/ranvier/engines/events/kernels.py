"""The kernel that visits a population's neurons in a step: those that something reaches, and those that may cross."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ranvier.engines.events.linear import LinearStep

#: how near the threshold V must come, in mV, to count as a tie
TIE = 1e-9


def words(states: int, ports: int) -> int:
    """Numbers of 8 bytes in a neuron's record: its states, what arrives, its last step and when it is free again; a
    power of two, so that records do not cross lines of the cache."""
    return 1 << (states + ports + 1).bit_length()


def coefficients(linear: LinearStep) -> NDArray[np.float64]:
    """The numbers that a kernel reads, in the order of `source`."""
    entries = [linear.step[i, j] for i, j in _places(linear.step)]
    entries += [linear.jumps[i, j] for i, j in _places(linear.jumps)]
    return np.array([*entries, *linear.upper, *linear.lower], np.float64)


def source(linear: LinearStep) -> str:
    """The kernel as Python text: of the structure alone, so that other parameters need no other kernel."""
    m, ports = linear.jumps.shape
    size, held = words(m, ports), bool(linear.held) and bool(linear.steps.max() > 0)
    y, count = [f"_y{i}" for i in range(m)], 0
    head = []
    for prefix, matrix in (("_P", linear.step), ("_J", linear.jumps)):
        for i, j in _places(matrix):
            head.append(f"{prefix}{i}_{j} = _C[{count}]")
            count += 1
    for prefix in ("_U", "_L"):
        for j in range(m):
            head.append(f"{prefix}{j} = _C[{count}]")
            count += 1
    body = [*(f"{name} = _r[{i}]" for i, name in enumerate(y)), *(f"_in{k} = _r[{m + k}]" for k in range(ports))]
    body += [f"_last, _busy = _q[{m + ports}], _q[{m + ports + 1}]", "_n = _step - _last"]
    if held:
        body += ["_h = min(_busy - _last, _n)", "if _h > 0:", *_indent(_power("_held", "_h", linear, held=True)),
                 "    _n -= _h"]  # fmt: skip
    body += ["if _n > 0:", "    if _n > _horizon:", *_indent([f"{name} = 0.0" for name in y], 2),
             "    while _n > _span:", *_indent(_power("_free", "_span", linear, held=False), 2), "        _n -= _span",
             *_indent(_power("_free", "_n", linear, held=False))]  # fmt: skip
    body += ["_rests = _step < _busy"]
    for i, j in _places(linear.jumps):
        put = f"{y[i]} += _J{i}_{j} * _in{j}"
        body += ["if not _rests:", f"    {put}"] if held and i in linear.held else [put]
    body += [f"_r[{m + k}] = 0.0" for k in range(ports)]
    new = [" + ".join(f"_P{i}_{j} * {y[j]}" for j in range(m) if linear.step[i, j] != 0) or "0.0" for i in range(m)]
    body += [f"_n{i} = {text}" for i, text in enumerate(new)]
    for i in range(m):
        body.append(f"{y[i]} = {y[i]} if _rests else _n{i}" if held and i in linear.held else f"{y[i]} = _n{i}")
    above = ">" if linear.strict else ">="
    body += ["_top = _threshold[_i * _threshold_stride]", f"_ties += 1 if abs({y[0]} - _top) < {TIE!r} else 0",
             f"if not _rests and {y[0]} {above} _top:"]  # fmt: skip
    body += [f"    {y[i]} = _after[_i * _after_stride + {i}]" for i in range(m) if not np.isnan(linear.after[0, i])]
    body += ["    _busy = _step + 1 + _steps[_i * _steps_stride]", "    _out[_count] = _np.int32(_i)"]
    body.append("    _count += 1")
    body += [f"_r[{i}] = {name}" for i, name in enumerate(y)]
    body += [f"_q[{m + ports}] = _step + 1", f"_q[{m + ports + 1}] = _busy"]
    if held:
        body += ["_h = _busy - _step - 1", "if _h > 0:", *_indent(_power("_held", "_h", linear, held=True))]
    bound = " + ".join(f"max(_U{j} * {y[j]}, _L{j} * {y[j]})" for j in range(m))
    body += [f"if {bound} >= _top - 1e-6:", "    _still |= _one << _np.uint64(_c)"]
    text = _TEXT.format(
        head="\n".join(f"    {line}" for line in head),
        body="\n".join(f"{16 * ' '}{line}" for line in body),
        bytes=8 * size,
    )
    return text


def _power(table: str, n: str, linear: LinearStep, *, held: bool) -> list[str]:
    """y becomes the n-th power of the step times y; of a step while refractory if `held`."""
    m = len(linear.step)
    reached = np.linalg.matrix_power(np.abs(linear.held_step if held else linear.step) > 0, m) > 0
    rows = [i for i in range(m) if not (held and i in linear.held)]
    new = [" + ".join(f"{table}[_a + {m * i + j}] * _y{j}" for j in range(m) if reached[i, j] or i == j) for i in rows]
    if not rows:
        return ["pass"]
    lines = [f"_a = {n} * {m * m}", *(f"_z{i} = {line}" for i, line in zip(rows, new, strict=True))]
    return lines + [f"_y{i} = _z{i}" for i in rows]


def _places(matrix: NDArray) -> list[tuple[int, int]]:
    return [(int(i), int(j)) for i, j in np.argwhere(matrix != 0)]


def _indent(lines: list[str], depth: int = 1) -> list[str]:
    return [f"{'    ' * depth}{line}" for line in lines]


_TEXT = """import numpy as _np
from numba import int64, void
from ranvier.codegen.pointers import pointer as _pointer, trailing_zeros as _lowest
from ranvier.engines.events.records import part as _part
SIGNATURE = void(int64, int64, int64, int64, int64, int64)
def kernel(_row, _step, _lo, _hi, _target, _results):
    _A = _part(_row, 0)
    _zero, _one = _np.uint64(0), _np.uint64(1)
    _touched, _touched_groups = _pointer(_A.touched, _zero), _pointer(_A.touched_groups, _zero)
    _hot, _hot_groups = _pointer(_A.hot, _zero), _pointer(_A.hot_groups, _zero)
    _C, _free, _held = _pointer(_A.coefficients, 0.0), _pointer(_A.free, 0.0), _pointer(_A.held, 0.0)
    _span, _horizon = _A.span, _A.horizon
    _threshold, _threshold_stride = _pointer(_A.threshold, 0.0), _A.threshold_stride
    _after, _after_stride = _pointer(_A.after, 0.0), _A.after_stride
    _steps, _steps_stride = _pointer(_A.steps, 0), _A.steps_stride
    _out, _result = _pointer(_target, _np.int32(0)), _pointer(_results, 0)
{head}
    _count, _visits, _ties = 0, 0, 0
    for _g in range(_lo, _hi):
        _groups = _touched_groups[_g] | _hot_groups[_g]
        _touched_groups[_g] = _zero
        _warm = _zero
        while _groups != _zero:
            _b = _lowest(_groups)
            _groups &= _groups - _one
            _w = 64 * _g + _b
            _bits = _touched[_w] | _hot[_w]
            _touched[_w] = _zero
            _still = _zero
            while _bits != _zero:
                _c = _lowest(_bits)
                _bits &= _bits - _one
                _i = 64 * _w + _c
                _r, _q = _pointer(_A.records + {bytes} * _i, 0.0), _pointer(_A.records + {bytes} * _i, 0)
                _visits += 1
{body}
            _hot[_w] = _still
            if _still != _zero:
                _warm |= _one << _np.uint64(_b)
        _hot_groups[_g] = _warm
    _result[0] = _count
    _result[1] += _visits
    _result[2] += _ties
"""
