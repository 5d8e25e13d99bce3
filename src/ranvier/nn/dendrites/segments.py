"""Neurons whose dendritic segments recognise sparse patterns."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ranvier.engines.surrogates import ArcTan, Surrogate
from ranvier.nn.cell import CellState, SequenceCell, in_own_precision
from ranvier.nn.checks import require_finite, require_state, require_values
from ranvier.nn.counting.counts import Counts
from ranvier.nn.domains import LEAKY, POSITIVE, require_sizes
from ranvier.nn.precision import warn_of_long_memory


class ActiveDendrites(SequenceCell):
    """Neurons with active dendrites (Ahmad & Hawkins 2016, arXiv 1601.00720; Hawkins & Ahmad 2016).

    Each segment listens to a few inputs only, and gives an NMDA spike when θ or more of its synapses are active;
    one such spike depolarises (predicts) its neuron:

        m_d = 1 where Σ_k w_dk x_{j(d,k)} ≥ θ;   v_i ← max(decay v_i, max over its segments d of m_d);   y = v.

    With `decay` 0 and binary x, y is 1 for neurons that recognise x, 0 for others; with decay they stay
    depolarised, ever less. How often a segment errs: `ranvier.analysis.matching`.

    Parameters
    ----------
    in_features : inputs; neurons : neurons, as many as outputs.
    synapses : (segments, S) int64, the input of each synapse; −1 where a segment has fewer than S.
    owner : (segments,) int64, the neuron of each segment. A neuron without segments never depolarises.
    threshold : θ, active synapses.
    decay : of the depolarisation a step, in [0, 1).
    surrogate : slope of the NMDA spike.

    Learned: `weight` (segments, S), 1 at first (0 where there is no synapse). `forward(x[T, B, in_features],
    state=None) -> (y[T, B, neurons], state)`; the state is a dict of v (B, neurons). Cost and memory grow with the
    number of synapses, not with inputs times neurons. `random` draws all segments.
    Raises ValueError for indices out of range, one input twice on a segment, wrong sizes and input that is not finite.

    >>> layer = rv.nn.ActiveDendrites(4, 2, torch.tensor([[0, 1, 2]]), torch.tensor([1]), threshold=2.0)
    >>> layer(torch.tensor([[[1.0, 1.0, 0.0, 0.0]]]))[0].tolist()  # two of three synapses: neuron 1 recognises it
    [[[0.0, 1.0]]]
    """

    FIXED = frozenset({"in_features", "neurons"})
    NUMBERS = {"threshold": POSITIVE, "decay": LEAKY}
    synapses: Tensor
    owner: Tensor

    def __init__(
        self,
        in_features: int,
        neurons: int,
        synapses: Tensor,
        owner: Tensor,
        *,
        threshold: float,
        decay: float = 0.0,
        surrogate: Surrogate | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        synapses, owner = torch.as_tensor(synapses), torch.as_tensor(owner)
        _check(in_features, neurons, synapses, owner)
        POSITIVE.require("threshold", threshold)
        LEAKY.require("decay", decay)
        self.in_features, self.neurons, self.threshold, self.decay = in_features, neurons, threshold, decay
        self.surrogate = surrogate or ArcTan()
        self.register_buffer("synapses", synapses.detach().clone())
        self.register_buffer("owner", owner.detach().clone())
        self.weight = nn.Parameter((synapses >= 0).to(dtype or torch.get_default_dtype()))

    @classmethod
    def random(
        cls,
        in_features: int,
        neurons: int,
        *,
        segments: int,
        synapses: int,
        generator: torch.Generator | None = None,
        **options: object,
    ) -> ActiveDendrites:
        """Every neuron has `segments` segments with `synapses` distinct inputs each, drawn at random."""
        if not 1 <= synapses <= in_features or segments < 1:
            raise ValueError(
                f"there are {segments} segments of {synapses} synapses from {in_features} inputs; "
                "expected at least one, of at most as many synapses as inputs"
            )
        weight = torch.ones(1, in_features).expand(neurons * segments, -1)
        drawn = torch.multinomial(weight, synapses, generator=generator)
        owner = torch.arange(neurons).repeat_interleave(segments)
        return cls(in_features, neurons, drawn, owner, **options)  # type: ignore[arg-type]

    def init_state(self, batch: int) -> CellState:
        """Nothing is depolarised."""
        return {"v": self.weight.new_zeros(batch, self.neurons)}

    def overlaps(self, x: Tensor) -> Tensor:
        """Weighted number of active synapses of each segment: x (B, in_features) -> (B, segments)."""
        present = self.synapses >= 0
        weight = self.weight * present
        table = x.to(weight.dtype).T.contiguous()
        return F.embedding_bag(self.synapses.clamp(min=0), table, mode="sum", per_sample_weights=weight).T

    def recognised(self, x: Tensor) -> Tensor:
        """1 for neurons with a segment that matches: x (B, in_features) -> (B, neurons)."""
        matches = self.surrogate(self.overlaps(x) - self.threshold)
        where = self.owner.expand(x.shape[0], -1)
        rest = matches.new_zeros(x.shape[0], self.neurons)
        return rest.scatter_reduce(1, where, matches, "amax", include_self=True)

    @in_own_precision
    def forward(self, x: Tensor, state: CellState | None = None) -> tuple[Tensor, CellState]:
        """x (T, B, in_features) -> y (T, B, neurons) and the state after the last step."""
        self._require_sequence(x, self.weight)
        require_finite(x)
        state = self.init_state(x.shape[1]) if state is None else state
        require_state(state, {"v": (x.shape[1], self.neurons)}, self.weight)
        warn_of_long_memory(self, {"decay": 1 / (1 - self.decay)}, x.dtype)
        v, outputs = state["v"], []
        for row in self.recognised(x.flatten(0, 1)).unflatten(0, x.shape[:2]).unbind(0):
            v = torch.maximum(row, self.decay * v)
            outputs.append(v)
        return torch.stack(outputs), {"v": v}

    def _count_operations(self, counts: Counts, arguments: dict[str, Any], out: Any) -> None:
        x = arguments["x"]
        counts.fan(x, torch.bincount(self.synapses[self.synapses >= 0], minlength=self.in_features))
        counts.updates += out[0].numel()
        counts.own(x[..., 0].numel() * len(self.owner), 0, 2)  # θ, and the greatest of a neuron's
        counts.own(out[0].numel(), 1, 1)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.neurons}, segments={len(self.owner)}, threshold={self.threshold}"


def _check(in_features: int, neurons: int, synapses: Tensor, owner: Tensor) -> None:
    require_sizes(in_features=in_features, neurons=neurons)
    require_values("synapses", synapses)
    require_values("owner", owner)
    if synapses.ndim != 2 or synapses.dtype != torch.int64 or owner.dtype != torch.int64:
        raise ValueError(f"synapses have shape {tuple(synapses.shape)} of {synapses.dtype}, owner is of {owner.dtype}; "
                         "expected (segments, S) and (segments,) of int64")  # fmt: skip
    if owner.shape != synapses.shape[:1] or owner.numel() == 0:
        raise ValueError(
            f"there are {tuple(owner.shape)} owners; "
            f"expected one for each of {len(synapses)} > 0 segments"
        )
    if not (int(owner.min()) >= 0 and int(owner.max()) < neurons):
        raise ValueError(f"there are owners from {int(owner.min())} to {int(owner.max())}; expected 0 to {neurons - 1}")
    if not (int(synapses.min()) >= -1 and int(synapses.max()) < in_features):
        raise ValueError(
            f"there are synapses from {int(synapses.min())} to {int(synapses.max())}; expected inputs 0 to "
            f"{in_features - 1}, and -1 for none"
        )
    ordered = synapses.sort(1).values
    twice = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(1)
    if bool(twice.any()):
        raise ValueError(f"segment {int(twice.nonzero()[0])} listens to an input twice; expected distinct inputs")


__all__ = ["ActiveDendrites"]
