"""A rule of plasticity as machine code: three kernels printed from its expressions.

Synapses lie by source, and only spikes of the source and sweeps touch them. A spike of the target is put on
record with its time and with the values that the rule reads then; whoever touches a synapse next replays what
its target has on record since, in order. So no index by target is needed, and no line of memory is fetched for
a single weight. Replay is exact, since no weight is read in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy as sp

from ranvier.codegen.printing import PREAMBLE, KernelPrinter
from ranvier.equations import draw_number, draws_in, symbol
from ranvier.rules import Rule

#: synapses that are worked on at a time: a constant, so that a synapse's arithmetic is the same in every place
CHUNK = 32
#: spikes of one target that can be on record before all synapses are brought up to date
LAYERS = 16
#: of a coincidence: a target's sum since the last sweep, and as much of it as is in a synapse's weight
SUM, DONE = "_sum", "_done"

_HEADER = f"""from numba import float32, float64, int64, void
from ranvier.engines.plasticity.records import plastic as _plastic
{PREAMBLE}
"""
_CHANCE = "from ranvier.engines.plasticity.chance import normal as _normal, spike_key as _spike_key\n"
_CHANCE += "from ranvier.engines.plasticity.chance import uniform as _uniform\n"


def constants(rule: Rule) -> tuple[str, ...]:
    """Names of the kernels' numbers: parameters, then every trace's −dt/tau, then bounds and interval."""
    law = rule.law
    rates = [f"_k_{name}" for name, _ in law.decays]
    late = [f"_late_{name}" for name, _ in law.delays]  # steps
    return (*law.names, *rates, *late, "_low", "_high", "_interval")


def behind(rule: Rule) -> tuple[str, ...]:
    """The targets' rows of numbers: traces as they are read; of those that are read late, as they are now; and the sum
    of a coincidence."""
    law = rule.law
    now = [f"_now_{name}" for name, _ in law.delays]
    return (*(t.name for t in (*law.post, *law.modulator)), *now, *([SUM] if law.joint else []))


def on_edges(rule: Rule) -> tuple[str, ...]:
    """What synapses have besides a weight: eligibilities, and how much of a coincidence's sum is in the weight."""
    law = rule.law
    return (*(e.name for e in law.eligibilities), *([DONE] if law.joint else []))


def recorded(rule: Rule) -> tuple[str, ...]:
    """What a spike of the target puts on record: names that its changes read."""
    law = rule.law
    used = {s.name for e in (law.on_post, *(m[1] for m in law.marks.values())) for s in e.free_symbols}
    names = (*(t.name for t in (*law.post, *law.modulator)), *law.reads, "modulator")
    return tuple(name for name in names if name in used)


def replays(rule: Rule) -> bool:
    """Whether spikes of the target change anything but traces."""
    law = rule.law
    return bool(law.on_post != 0 or any(m[1] != 0 for m in law.marks.values()))


def sources(rule: Rule, double: bool, wide: bool, rows: Mapping[str, int]) -> dict[str, str]:
    """The kernels "row" (a spike of the source), "sweep" (all rows), "step" (the targets' traces) as text. rows: of the
    variables that the rule reads, among the target's."""
    text = _Text(rule, double, wide, rows)
    return {"row": text.row(), "sweep": text.sweep(), "step": text.step()}


class _Text:
    def __init__(self, rule: Rule, double: bool, wide: bool, rows: Mapping[str, int]) -> None:
        self.law, self.rule = rule.law, rule
        self.real, self.width = ("float64", 8) if double else ("float32", 4)
        self.kind, self.bytes = ("int32", 4) if wide else ("uint16", 2)
        self.show = KernelPrinter().doprint
        self.records = recorded(rule)
        self.marked = [e.name for e in self.law.eligibilities]
        self.edges, self.behind, self.rows = on_edges(rule), behind(rule), rows

    def _kernel(self, arguments: str, body: list[str]) -> str:
        count = arguments.count(",") + 1
        header = _HEADER + _CHANCE if self.law.chances else _HEADER
        lines = [
            header,
            # exp itself is inlined by numba, which loses branches of a caller that has some
            f"_exp = _simd.exp_{'f64' if self.width == 8 else 'f32'}",
            f"_real = _np.{self.real}",
            f"_local, _places = _scratch({CHUNK}), _scratch({CHUNK})",
            f"SIGNATURE = void({', '.join(['int64'] * count)}, {self.real})",
            f"def kernel({arguments}, _one):",
            "    _G = _plastic(_g, 0)",
            "    _C = _pointer(_G.constants, _one)",
            *(f"    {name} = _C[{k}]" for k, name in enumerate(constants(self.rule))),
            "    _n = _G.columns",
            *(f"    {line}" for line in body),
        ]
        return "\n".join(lines) + "\n"

    def _uses(self, *expressions: Any) -> set[str]:
        return {s.name for e in expressions for s in sp.sympify(e).free_symbols}

    def _targets(self) -> list[str]:
        """Pointers to all that the targets have."""
        lines = [f"_Y_{name} = _pointer(_G.post + {self.width}*_n*{k}, _one)" for k, name in enumerate(self.behind)]
        lines += [f"_V_{name} = _pointer(_G.variables + {self.width}*_n*{k}, _one)" for name, k in self.rows.items()]
        return [*lines, "_modulator = _pointer(_G.modulator, _one)"]

    # A row

    def _row_scalars(self) -> list[str]:
        lines = [
            "_times = _pointer(_G.times + 8*(_thread*_G.sources + _row), 0)",
            "_flushed = _pointer(_G.flushed + 8*_thread, 0)[0]",
            "_last = _times[0]",
            "_since = _np.int32(_max(_last, _flushed + 1))",
            "_last32 = _np.int32(_last)",
            "_elapsed = _real(_now - _last)",
        ]
        for k, t in enumerate(self.law.pre):
            at = f"(_thread*{len(self.law.pre)} + {k})*_G.sources + _row"
            lines += [
                f"_at_{t.name} = _pointer(_G.pre + {self.width}*({at}), _one)",
                f"_was_{t.name} = _at_{t.name}[0]",
                f"_now_{t.name} = _was_{t.name}*_exp(_k_{t.name}*_elapsed)",
            ]
        lines += [
            *self._targets(),
            "_w, _index = _local(_one), _places(_np.int32(0))",
            *(f"_e_{name} = _local(_one)" for name in self.edges),
        ]
        if (joint := self.law.joint) is not None:
            lines += [
                "_swept = (_now - 1)//_G.every*_G.every",
                f"_gain = _was_{joint.name}*_exp(_k_{joint.name}*_real(_swept - _last))",
            ]
        if self.marked:  # eligibilities are kept as they were at the last sweep that applied the drift
            lines += [
                "_every = _G.every",
                "_swept = (_now - 1)//_every*_every",
                "_swept32 = _np.int32(_swept)",
                "_gone = _real(_now - _swept)",
                *(f"_scale_{name} = _exp(-_k_{name}*_gone)" for name in self.marked),
            ]
        return lines

    def _chunks(self, work: list[str]) -> list[str]:
        """A loop over the row's synapses: load, replay, `work`, store. Lanes beyond the row's end repeat its
        first synapse and are not stored."""
        load = [
            f"_item = _pointer(_G.items + {self.bytes}*_at, _np.{self.kind}(0))",
            f"_W = _pointer(_G.weights + {self.width}*_at, _one)",
            *(
                f"_E_{name} = _pointer(_G.eligibility + {self.width}*({k}*_G.edges + _at), _one)"
                for k, name in enumerate(self.edges)
            ),
            f"_m = _min({CHUNK}, _b - _at)",
            f"if _m == {CHUNK}:",
            f"    for _i in _range({CHUNK}):",
            "        _index[_i] = _np.int32(_item[_i])",
            *[line for name in ["w", *self.edges] for line in self._copy(name, f"{CHUNK}", "    ", False)],
            "else:",
            f"    for _i in _range({CHUNK}):",
            "        _index[_i] = _np.int32(_item[_i if _i < _m else 0])",
            *[line for name in ["w", *self.edges] for line in self._copy(name, f"{CHUNK}", "    ", True)],
        ]
        store = [
            f"if _m == {CHUNK}:",
            *[line for name in ["w", *self.edges] for line in self._store(name, f"{CHUNK}", "    ")],
            "else:",
            *[line for name in ["w", *self.edges] for line in self._store(name, "_m", "    ")],
        ]
        inner = [*load, *(self._replay() if replays(self.rule) else []), *work, *store, f"_at += {CHUNK}"]
        return ["_at = _a", "while _at < _b:", *(f"    {line}" for line in inner)]

    def _copy(self, name: str, count: str, indent: str, partial: bool) -> list[str]:
        local, there = ("_w", "_W") if name == "w" else (f"_e_{name}", f"_E_{name}")
        at = "_i if _i < _m else 0" if partial else "_i"
        return [f"{indent}for _i in _range({count}):", f"{indent}    {local}[_i] = {there}[{at}]"]

    def _store(self, name: str, count: str, indent: str) -> list[str]:
        local, there = ("_w", "_W") if name == "w" else (f"_e_{name}", f"_E_{name}")
        return [f"{indent}for _i in _range({count}):", f"{indent}    {there}[_i] = {local}[_i]"]

    def _coincided(self) -> list[str]:
        """Bring the weights up to date with what the coincidence has added since a synapse's last turn."""
        return [] if self.law.joint is None else [
            f"for _i in _range({CHUNK}):",
            f"    _total = _Y_{SUM}[_index[_i]]",
            f"    _w[_i] = _min(_max(_w[_i] + _gain*(_total - _e_{DONE}[_i]), _low), _high)",
            f"    _e_{DONE}[_i] = _total",
        ]  # fmt: skip

    def _drawn(self, key: str, *expressions: Any) -> list[str]:
        """The random numbers that expressions read, for lane _i, from a spike's key."""
        names = draws_in(*map(sp.sympify, expressions))
        kind = {True: "_normal", False: "_uniform"}
        return [f"{n} = {kind[n.startswith('randn')]}({key}, _at + _i, {draw_number(n)}, _one)" for n in names]

    def _replay(self) -> list[str]:
        law, count = self.law, len(self.records)
        used = self._uses(law.on_post, *(m[1] for m in law.marks.values()))
        body = ["_s = _T[_index[_i]]", "_on = _s >= _since", "w = _w[_i]", "_ago = _real(_np.int32(_s - _last32))"]
        body += [f"{t.name} = _was_{t.name}*_exp(_k_{t.name}*_ago)" for t in law.pre if t.name in used]
        body += [f"{name} = _R_{name}[_index[_i]]" for name in self.records]
        if drawn := self._drawn("_back", law.on_post, *(m[1] for m in law.marks.values())):
            body += ["_back = _spike_key(_G.key, _s, 0)", *drawn]  # a key that no spike of the source has
        if law.on_post != 0:
            changed = self.show(symbol("w") + law.on_post)
            body.append(f"_new = _min(_max({changed}, _low), _high)")
            body.append("_w[_i] = _new if _on else w")
        for name, (_, size) in law.marks.items():
            if size != 0:
                body += [
                    f"_marked = _e_{name}[_i] + ({self.show(size)})*_exp(-_k_{name}*_real(_np.int32(_s - _swept32)))",
                    f"_e_{name}[_i] = _marked if _on else _e_{name}[_i]",
                ]
        return [
            "_depth = 0",
            f"while _depth < {LAYERS}:",
            "    _T = _pointer(_G.layers + 4*_n*_depth, _np.int32(0))",
            "    _any = _np.int32(0)",
            f"    for _i in _range({CHUNK}):",
            "        _any |= _np.int32(_T[_index[_i]] >= _since)",
            "    if _any == 0:",
            "        break",
            "    _depth += 1",
            "while _depth > 0:",
            "    _depth -= 1",
            "    _T = _pointer(_G.layers + 4*_n*_depth, _np.int32(0))",
            *(
                f"    _R_{name} = _pointer(_G.records + {self.width}*_n*(_depth*{count} + {k}), _one)"
                for k, name in enumerate(self.records)
            ),
            f"    for _i in _range({CHUNK}):",
            *(f"        {line}" for line in body),
        ]

    def _read(self, used: set[str]) -> list[str]:
        """Values at this moment of whatever an expression reads, for lane _i."""
        lines = [f"{t.name} = _now_{t.name}" for t in self.law.pre if t.name in used]
        lines += [f"{name} = _Y_{name}[_index[_i]]" for name in self.behind if name in used]
        lines += [f"{name} = _V_{name}[_index[_i]]" for name in self.rows if name in used]
        return lines + (["modulator = _modulator[_index[_i]]"] if "modulator" in used else [])

    def row(self) -> str:
        """A spike of source `_row` arrives: replay, deliver it onto `_line`, change, raise the source's traces.

        `_packed`: 256 times which of its step it is, from 1 on, and how many of it are delivered.
        """
        law = self.law
        sent = self.show(law.transmitted) if law.short_term else "_w[_i]"
        named = [f"{t.name} = _now_{t.name}" for t in law.pre]
        deliver = [f"_out[_index[_i]] += ({sent})*_real(_copies)"]
        if law.short_term:  # spikes come one by one, and `_copies` says which of its step it is
            chances = self._drawn("_spike", law.transmitted)
            deliver = [*named, "w = _w[_i]", *chances, f"_out[_index[_i]] += {sent}"]
        work = [*self._coincided(), "for _i in _range(_m):", *(f"    {line}" for line in deliver)]
        body = self._read(self._uses(law.on_pre, *(m[0] for m in law.marks.values())))
        body += ["w = _w[_i]", *self._drawn("_spike", law.on_pre, *(m[0] for m in law.marks.values()))]
        if law.on_pre != 0:
            body.append(f"_w[_i] = _min(_max({self.show(symbol('w') + law.on_pre)}, _low), _high)")
        for name, (size, _) in law.marks.items():
            if size != 0:
                body.append(f"_e_{name}[_i] += ({self.show(size)})*_scale_{name}")
        if law.on_pre != 0 or any(m[0] != 0 for m in law.marks.values()):
            work += [f"for _i in _range({CHUNK}):", *(f"    {line}" for line in body)]
        after = named + [
            f"_at_{t.name}[0] = {'_real(1.0)' if t.nearest else f'_now_{t.name} + ({self.show(law.jumps[t.name])})'}"
            for t in law.pre
        ]
        begin = ["_spike = _spike_key(_G.key, _now, _packed >> 8)"] if law.chances else []
        begin += ["_copies = _packed & 255", "_out = _pointer(_line, _one)"]
        lines = [*self._row_scalars(), *begin, *self._chunks(work), *after, "_times[0] = _now"]
        return self._kernel("_g, _thread, _row, _a, _b, _now, _line, _packed", lines)

    # All rows

    def sweep(self) -> str:
        """Bring all of a thread's synapses up to date; `_drift`: and apply the drift, for one interval."""
        law = self.law
        body = self._read(self._uses(law.drift))
        body += ["w = _w[_i]", *(f"{name} = _e_{name}[_i]*_left_{name}" for name in self.marked)]
        body.append(f"_w[_i] = _min(_max(w + _interval*({self.show(law.drift)}), _low), _high)")
        body += [f"_e_{name}[_i] = {name}" for name in self.marked]
        work = [f"for _i in _range({CHUNK}):", *(f"    {line}" for line in body)] if law.drift != 0 else []
        if law.joint is not None:  # the sums begin anew
            work = [*self._coincided(), f"for _i in _range({CHUNK}):", f"    _e_{DONE}[_i] = _real(0.0)"]
        work = ["if _drift != 0:", *(f"    {line}" for line in work)] if work else []
        left = [f"_left_{name} = _exp(_k_{name}*_real(_every))" for name in self.marked]
        inner = [
            "_a, _b = _rows[_row], _rows[_row + 1]",
            "if _threads > 1:",
            "    _b = _a + _np.int64(_cut[_row*(_threads + 1) + _thread + 1])",
            "    _a = _a + _np.int64(_cut[_row*(_threads + 1) + _thread])",
            *self._row_scalars(), *left, *self._chunks(work),
        ]  # fmt: skip
        lines = [
            "_rows = _pointer(_G.rows, 0)",
            "_cut = _pointer(_G.splits, _np.int32(0))",
            "for _row in _range(_G.sources):",
            *(f"    {line}" for line in inner),
        ]
        return self._kernel("_g, _thread, _threads, _now, _drift, _unused", lines)

    # Targets

    def step(self) -> str:
        """`_what` 0: the targets' traces decay over a step; 1: target `_lo` spikes; 2: coincidences, then traces that
        follow others, come after the spikes; 3: sums of coincidences begin anew."""
        law = self.law
        jumps = [
            f"_Y_{t.name}[_lo] = {'_real(1.0)' if t.nearest else f'_Y_{t.name}[_lo] + _real(1.0)'}"
            for t in law.post
            if not t.follows
        ]
        anew = [] if law.joint is None else ["for _i in _range(_lo, _hi):", f"    _Y_{SUM}[_i] = _real(0.0)"]
        parts = (
            self._decay(), [*(self._record() if replays(self.rule) else []), *jumps],
            [*self._begin(), *self._coincide(), *self._follow()], anew,
        )  # fmt: skip
        lines = self._targets()
        lines += [f"_left_{t.name} = _exp(_k_{t.name})" for t in (*law.post, *law.modulator)]
        for k, part in enumerate(parts):
            lines += [f"{'el' if k else ''}if _what == {k}:", *(f"    {line}" for line in part or ["pass"])]
        return self._kernel("_g, _lo, _hi, _now, _what, _unused", lines)

    def _record(self) -> list[str]:
        """Put a spike of the target on record."""
        lines = [
            f"for _k in _range({LAYERS - 1}, 0, -1):",
            "    _T = _pointer(_G.layers + 4*(_n*_k + _lo), _np.int32(0))",
            "    _before = _pointer(_G.layers + 4*(_n*(_k - 1) + _lo), _np.int32(0))",
            "    _T[0] = _before[0]",
        ]
        count = len(self.records)
        if count:
            at = f"_G.records + {self.width}*(_n*(_k*{count} + _r) + _lo)"
            lines += [
                f"    for _r in _range({count}):",
                f"        _new = _pointer({at}, _one)",
                f"        _old = _pointer({at.replace('_k*', '(_k - 1)*')}, _one)",
                "        _new[0] = _old[0]",
            ]
        lines += ["_T = _pointer(_G.layers + 4*_lo, _np.int32(0))", "_T[0] = _np.int32(_now)"]
        for k, name in enumerate(self.records):
            there = "_modulator" if name == "modulator" else f"_V_{name}" if name in self.rows else f"_Y_{name}"
            lines += [f"_R = _pointer(_G.records + {self.width}*(_n*{k} + _lo), _one)", f"_R[0] = {there}[_lo]"]
        return lines

    def _decay(self) -> list[str]:
        lines = []
        for t in (*self.law.post, *self.law.modulator):
            if t.follows:
                continue
            extra = f" + _modulator[_i]*{self._dt}" if t.side == "modulator" else ""
            lines += [
                "for _i in _range(_lo, _hi):",
                f"    _value = _Y_{t.name}[_i]*_left_{t.name}{extra}",
                # numbers below float32's normal range cost a hundred times as much
                f"    _Y_{t.name}[_i] = _value if _abs(_value) > _real(1e-30) else _real(0.0)",
            ]
        return lines

    @property
    def _dt(self) -> str:
        return f"_real(_C[{len(constants(self.rule))}])"

    def _of_target(self, *expressions: sp.Expr) -> list[str]:
        """Values of what expressions read of target _i."""
        used = self._uses(*expressions)
        lines = [f"{name} = _Y_{name}[_i]" for name in self.behind if name in used]
        return lines + [f"{name} = _V_{name}[_i]" for name in self.rows if name in used]

    def _begin(self) -> list[str]:
        """In the first step, traces that follow variables begin where those are."""
        late = [name for name, _ in self.law.delays]
        lines: list[str] = []
        for name in self.law.follows_target:
            goal = self.law.follows[name]
            lines += ["    for _i in _range(_lo, _hi):", *(f"        {line}" for line in self._of_target(goal))]
            lines.append(f"        _Y_{name}[_i] = {self.show(goal)}")
            if name in late:
                lines.append(f"        _Y__now_{name}[_i] = _Y_{name}[_i]")
                lines.append(f"        for _k in _range(int64(_late_{name})):")
                lines.append(f"            {self._past(name, '_k')}[_i] = _Y_{name}[_i]")
        return ["if _now == 1:", *lines] if lines else []

    def _past(self, name: str, slot: str) -> str:
        """The past values of a trace that is read late, a ring of steps."""
        late = [other for other, _ in self.law.delays]
        before = "".join(f"int64(_late_{other}) + " for other in late[: late.index(name)])
        return f"_pointer(_G.past + {self.width}*_n*({before}{slot}), _one)"

    def _coincide(self) -> list[str]:
        t, what = self.law.joint, self.law.coincidence
        if t is None:
            return []
        return [
            f"_weight = _exp(_k_{t.name}*_real(_now - (_now - 1)//_G.every*_G.every))*{self._dt}",
            "for _i in _range(_lo, _hi):",
            *(f"    {line}" for line in self._of_target(what)),
            f"    _Y_{SUM}[_i] += _weight*({self.show(what)})",
        ]

    def _follow(self) -> list[str]:
        lines: list[str] = []
        late = [name for name, _ in self.law.delays]
        for name, goal in self.law.follows.items():
            own = f"_Y__now_{name}" if name in late else f"_Y_{name}"
            if name in late:
                lines.append(f"_steps = int64(_late_{name})")
                lines.append(f"_before = {self._past(name, '_now % _max(_steps, 1)')}")
            lines += ["for _i in _range(_lo, _hi):", *(f"    {line}" for line in self._of_target(goal))]
            lines.append(f"    _goal = {self.show(goal)}")
            lines.append(f"    _value = _goal + ({own}[_i] - _goal)*_left_{name}")
            if name in late:
                lines += [
                    f"    _Y_{name}[_i] = _before[_i] if _steps > 0 else _value",
                    "    _before[_i] = _value",
                ]
            lines.append(f"    {own}[_i] = _value")
        return lines


__all__ = ["CHUNK", "DONE", "LAYERS", "SUM", "behind", "constants", "on_edges", "recorded", "replays", "sources"]
