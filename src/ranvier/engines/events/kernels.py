"""The kernel that visits a population's neurons in a step: those that something reaches, and those that may cross."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranvier.engines.events.linear import LinearStep

#: how near the threshold V must come, in mV, to count as a tie
TIE = 1e-9


def words(states: int, ports: int) -> int:
    """Numbers of 8 bytes in a neuron's record: its states, what arrives; the step of its last visit, the first that is
    not refractory, and that of the list it is on. A power of two, so that records do not cross lines of the cache."""
    return 1 << (states + ports + 2).bit_length()


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
    body += ["if _n > _horizon:", *_indent([f"{name} = 0.0" for name in y]), "    _n = 0",
             "while _n > _span:", *_indent(_power("_free", "_span", linear, held=False)), "    _n -= _span",
             *_power("_free", "_n", linear, held=False)]  # fmt: skip
    body += ["_rests = _step < _busy"]
    for i, j in _places(linear.jumps):
        rests = held and i in linear.held
        body.append(f"{y[i]} += 0.0 if _rests else _J{i}_{j} * _in{j}" if rests else f"{y[i]} += _J{i}_{j} * _in{j}")
    body += [f"_r[{m + k}] = 0.0" for k in range(ports)]
    new = [" + ".join(f"_P{i}_{j} * {y[j]}" for j in range(m) if linear.step[i, j] != 0) or "0.0" for i in range(m)]
    body += [f"_n{i} = {text}" for i, text in enumerate(new)]
    for i in range(m):
        body.append(f"{y[i]} = {y[i]} if _rests else _n{i}" if held and i in linear.held else f"{y[i]} = _n{i}")
    above = ">" if linear.strict else ">="
    body += ["_top = _threshold[_i * _threshold_stride]", f"_ties += 1 if abs({y[0]} - _top) < {TIE!r} else 0",
             f"if not _rests and {y[0]} {above} _top:"]  # fmt: skip
    body += [f"    {y[i]} = _after[_i * _after_stride + {i}]" for i in range(m) if not np.isnan(linear.after[0, i])]
    body += ["    _busy = _step + 1 + _steps[_i * _steps_stride]", "    _w = _i >> 6",
             "    _fired[_w] |= _one << _np.uint64(_i & 63)",
             "    _fired_groups[_w >> 6] |= _one << _np.uint64(_w & 63)",
             "    _count += 1"]  # fmt: skip
    body += [f"_r[{i}] = {name}" for i, name in enumerate(y)]
    body += [f"_q[{m + ports}] = _step + 1", f"_q[{m + ports + 1}] = _busy"]
    if held:
        body += ["_h = _busy - _step - 1", "if _h > 0:", *_indent(_power("_held", "_h", linear, held=True))]
    bound = " + ".join(f"max(_U{j} * {y[j]}, _L{j} * {y[j]})" for j in range(m))
    # a neuron that may cross is on the next step's list already
    body += [f"_hot = 1 if {bound} >= _top - 1e-6 else 0", "_next[_warm] = _np.int32(_i)", "_warm += _hot",
             f"_q[{m + ports + 2}] = _step + _hot"]  # fmt: skip
    text = _TEXT.format(
        head="\n".join(f"    {line}" for line in head),
        body="\n".join(f"{8 * ' '}{line}" for line in body),
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


def _places(matrix: NDArray[Any]) -> list[tuple[int, int]]:
    return [(int(i), int(j)) for i, j in np.argwhere(matrix != 0)]


def _indent(lines: list[str], depth: int = 1) -> list[str]:
    return [f"{'    ' * depth}{line}" for line in lines]


_TEXT = """import numpy as _np
from numba import int64, void
from ranvier.codegen.pointers import pointer as _pointer, prefetch as _prefetch, trailing_zeros as _lowest
from ranvier.engines.events.records import part as _part
SIGNATURE = void(int64, int64, int64, int64, int64, int64, int64)
def kernel(_row, _step, _thread, _lo, _hi, _target, _results):
    _A = _part(_row, 0)
    _zero, _one = _np.uint64(0), _np.uint64(1)
    _records = _A.records
    _even = (_step & 1) * _A.threads + _thread
    _odd = (1 - (_step & 1)) * _A.threads + _thread
    _list = _pointer(_A.lists + 4 * _even * _A.size, _np.int32(0))
    _next = _pointer(_A.lists + 4 * _odd * _A.size, _np.int32(0))
    _lengths = _pointer(_A.list_counts, 0)
    _length = _lengths[_even]
    _fired, _fired_groups = _pointer(_A.fired, _zero), _pointer(_A.fired_groups, _zero)
    _C, _free, _held = _pointer(_A.coefficients, 0.0), _pointer(_A.free, 0.0), _pointer(_A.held, 0.0)
    _span, _horizon = _A.span, _A.horizon
    _threshold, _threshold_stride = _pointer(_A.threshold, 0.0), _A.threshold_stride
    _after, _after_stride = _pointer(_A.after, 0.0), _A.after_stride
    _steps, _steps_stride = _pointer(_A.steps, 0), _A.steps_stride
    _out, _result = _pointer(_target, _np.int32(0)), _pointer(_results, 0)
{head}
    _count, _ties, _warm = 0, 0, 0
    for _v in range(_length):
        _prefetch(_records + {bytes} * int64(_list[min(_v + 8, _length - 1)]))
        _i = int64(_list[_v])
        _r, _q = _pointer(_records + {bytes} * _i, 0.0), _pointer(_records + {bytes} * _i, 0)
{body}
    _lengths[_even], _lengths[_odd] = 0, _warm
    _result[0], _result[1], _result[2] = _count, _result[1] + _length, _result[2] + _ties
    if _count == 0:
        return
    _at = 0
    for _g in range(_lo, _hi):  # spikes go out in the order of the neurons
        _groups = _fired_groups[_g]
        _fired_groups[_g] = _zero
        while _groups != _zero:
            _w = 64 * _g + _lowest(_groups)
            _groups &= _groups - _one
            _bits = _fired[_w]
            _fired[_w] = _zero
            while _bits != _zero:
                _out[_at] = _np.int32(64 * _w + _lowest(_bits))
                _bits &= _bits - _one
                _at += 1
"""
