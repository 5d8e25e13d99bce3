"""What cells in continuous time share: time spans between samples, mixed memory, the two ways through time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ranvier.nn.cell import CellState, FixedAttributes, in_own_precision
from ranvier.nn.checks import holds_values, require_finite, require_state, require_tensor
from ranvier.nn.counting.counts import Counts
from ranvier.nn.domains import require_sizes


def check_spans(timespans: Tensor | None, x: Tensor) -> Tensor:
    """Time since the sample before, (T, B), of ones where none is given.

    Raises ValueError for a shape other than (T,), (T, 1) or (T, B), and for spans that are not positive and finite.
    """
    steps, batch = x.shape[:2]
    if timespans is None:
        return x.new_ones(steps, batch)
    spans = timespans if isinstance(timespans, Tensor) else torch.as_tensor(timespans)
    spans = spans.to(x)
    if spans.shape == (steps,):
        spans = spans[:, None]
    if spans.ndim != 2 or spans.shape[0] != steps or spans.shape[1] not in (1, batch):
        raise ValueError(
            f"timespans has shape {tuple(spans.shape)}; expected ({steps},), ({steps}, 1) or ({steps}, {batch})"
        )
    good = (spans > 0) & torch.isfinite(spans)
    if holds_values(spans) and not bool(good.all()):
        t, b = (~good).nonzero()[0].tolist()
        raise ValueError(
            f"there is a time span of {spans[t, b].item()} at step {t}, batch {b}; expected positive, finite spans"
        )
    return spans.expand(steps, batch)


class TimedLayer(FixedAttributes):
    """A `Cell` whose samples come at any time; see `LTC` and `CfC`, which say what `_run` and `_read` do."""

    state_name = "v"
    FIXED = frozenset({"in_features", "units"})
    _reference: Tensor  # whose device and precision the layer has
    lstm: nn.LSTMCell | None
    projection: nn.Linear | None

    def __init__(
        self, in_features: int, units: int, *, mixed_memory: bool, timed: bool, like: dict[str, Any],
    ) -> None:  # fmt: skip
        super().__init__()
        require_sizes(in_features=in_features)
        self.in_features, self.units, self.timed = in_features, units, timed
        self.register_buffer("_reference", torch.empty(0, **like), persistent=False)
        self.lstm = None
        if mixed_memory:
            self.lstm = nn.LSTMCell(in_features, units, **like)
            with torch.no_grad():
                self.lstm.bias_ih[units : 2 * units] += 1.0  # remember at first

    def _run(self, x: Tensor, state: Tensor, spans: Tensor) -> tuple[Tensor, Tensor]:
        """x (T, B, I), state (B, N), spans (T, B) -> what `_read` reads, over time, and the last state."""
        raise NotImplementedError

    def _read(self, h: Tensor) -> Tensor:
        """The output."""
        raise NotImplementedError

    def init_state(self, batch: int) -> CellState:
        """Zeros (batch, units); "c" too, the memory's, where it is mixed."""
        names = [self.state_name] + (["c"] if self.lstm is not None else [])
        return {name: self._reference.new_zeros(batch, self.units) for name in names}

    def step(self, state: CellState, x: Tensor, timespan: Tensor | float | None = None) -> tuple[CellState, Tensor]:
        """One step: x (B, in_features), timespan a number or (B,) -> (state, y (B, outputs)). Raises what `forward`
        raises."""
        require_tensor(x)
        if x.ndim != 2:
            raise ValueError(f"x has shape {tuple(x.shape)}; expected (B, {self._columns()})")
        spans = None if timespan is None else torch.as_tensor(timespan, dtype=x.dtype, device=x.device).reshape(1, -1)
        y, state = self(x[None], state, spans)
        return state, y[0]

    @in_own_precision
    def forward(
        self, x: Tensor, state: CellState | None = None, timespans: Tensor | None = None
    ) -> tuple[Tensor, CellState]:
        """x (T, B, in_features), timespans (T,) or (T, B) -> y (T, B, outputs) and the state after the last step."""
        x, timespans = self._checked(x, timespans)
        spans = check_spans(timespans, x)
        state = self.init_state(x.shape[1]) if state is None else state
        require_state(state, dict.fromkeys(self.init_state(0), (x.shape[1], self.units)), self._reference)
        v = state[self.state_name]
        if self.lstm is None:
            h, v = self._run(x, v, spans)
            return self._read(h), {self.state_name: v}
        c, outputs = state["c"], []
        for row, span in zip(x.split(1), spans.split(1), strict=True):
            v, c = self.lstm(row[0], (v, c))
            h, v = self._run(row, v, span)
            outputs.append(h)
        return self._read(torch.cat(outputs)), {self.state_name: v, "c": c}

    def _count_operations(self, counts: Counts, arguments: dict[str, Any], out: Any) -> None:
        x = arguments["x"][..., : self.in_features]
        samples = x[..., 0].numel()
        counts.updates += samples * self.units
        self._count_run(counts, x)
        if self.lstm is not None:
            counts.fan(x, 4 * self.units)
            counts.multiply(samples * 4 * self.units**2)
            counts.own(samples * self.units, 8, 1)  # five of its multiplications are functions
        if self.projection is not None:
            counts.multiply(samples * self.projection.in_features * self.projection.out_features)

    def _count_run(self, counts: Counts, x: Tensor) -> None:
        """Of `_run` and what else is the layer's own, on x (T, B, I)."""
        raise NotImplementedError

    def _columns(self) -> int:
        return self.in_features + (1 if self.timed else 0)

    def _checked(self, x: Tensor, timespans: Tensor | None) -> tuple[Tensor, Tensor | None]:
        require_tensor(x)
        if x.ndim != 3 or x.shape[0] == 0 or x.shape[2] != self._columns():
            raise ValueError(
                f"x has shape {tuple(x.shape)}; expected (T, B, {self._columns()}) with T > 0"
                + (", the last feature being the time span" if self.timed else "")
            )
        require_tensor(x, self._reference)
        most = torch.finfo(x.dtype).max ** 0.5
        if holds_values(x) and not bool((x.detach().abs() <= most).all()):
            require_finite(x)
            x = x.clamp(-most, most)  # or sums of products overflow to ∞ − ∞
        if self.timed:
            if timespans is not None:
                raise ValueError("there are timespans beside a time span in x; expected one of them; see `timed`")
            x, timespans = x[..., :-1], x[..., -1]
        return x, timespans


def lstm_from_ncps(lstm: nn.LSTMCell, state: dict[str, Tensor]) -> None:
    """Take ncps' memory cell: its rows are candidate, input, forget (+ 1), output gate."""
    n = lstm.hidden_size
    with torch.no_grad():
        for ours, theirs in (("weight_ih", "input_map.weight"), ("weight_hh", "recurrent_map.weight"),
                             ("bias_ih", "input_map.bias")):  # fmt: skip
            g, i, f, o = state[f"lstm.{theirs}"].split(n)
            getattr(lstm, ours).copy_(torch.cat([i, f, g, o]))
        lstm.bias_ih[n : 2 * n] += 1.0
        lstm.bias_hh.zero_()


__all__ = ["TimedLayer", "check_spans", "lstm_from_ncps"]
