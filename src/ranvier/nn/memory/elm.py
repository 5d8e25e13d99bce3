"""Expressive leaky memory neurons."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from ranvier.nn.cell import CellState, SequenceCell, in_own_precision
from ranvier.nn.checks import holds_values, require_finite, require_state
from ranvier.nn.counting.counts import Counts
from ranvier.nn.domains import POSITIVE, require_sizes
from ranvier.nn.memory import _elm_sequence
from ranvier.nn.memory._elm_sequence import HEIGHT, SLOPE
from ranvier.nn.operators import loops_apply
from ranvier.nn.plain_modules import are_plain
from ranvier.nn.precision import steps_remembered, warn_of_long_memory
from ranvier.nn.spiking.products import linear

_ROUTINGS = ("neighbours", "random")


class ELM(SequenceCell):
    """Expressive leaky memory neuron (Spieler et al. 2024, arXiv 2306.16922): one neuron as rich as a detailed
    cortical one. Each step of `dt`,

        s ← κ_s s + w x,  w ≥ 0                          synaptic traces, summed by branch into b
        Δm = 1.7159 tanh(⅔ MLP([b, κ_m m]))              what all branches and memories make of it
        m ← κ_m m + lam (1 − κ_m) Δm                     memory units, κ = exp(−dt/τ)
        y = W m + c.

    Synapses of a branch share τ_s, so that the branch's sum is filtered in place of its synapses: the same b.

    Parameters
    ----------
    in_features, out_features : inputs, such as spikes; outputs.
    memory : number of memory units.
    branches : dendritic branches; None: every input is one. `per_branch`: synapses of each, default as many as cover
        the inputs once.
    routing : "neighbours": branches see windows of neighbouring inputs, evenly spaced, overlapping where there are
        more synapses than inputs; "random": inputs drawn, with repeats.
    tau_m : range of the memory's time constants (ms), spaced logarithmically; `learn_tau`: learned within it.
    tau_s : of the synapses (ms).
    hidden : sizes of the MLP's hidden, rectified layers; default one of 2 · memory.
    dt : length of a step (ms).
    fused : compiled loops where they apply (CPU, float32 or float64); False: plain torch.

    Synaptic weights begin at 0.5 and count as max(w, 0). The state is {"s": (B, branches), "m": (B, memory)}.
    Raises ValueError for sizes and times that do not fit and for input that is not finite.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> y, state = rv.nn.ELM(6, 2, memory=5, branches=3)(torch.zeros(4, 1, 6))
    >>> y.shape
    torch.Size([4, 1, 2])
    """

    FIXED = frozenset({"in_features", "out_features", "branches", "memory", "dt", "tau_m_range"})
    NUMBERS = {"lam": POSITIVE}
    indices: Tensor
    kappa_s: Tensor
    tau_logit: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        memory: int = 20,
        branches: int | None = None,
        per_branch: int | None = None,
        routing: str = "neighbours",
        tau_m: tuple[float, float] = (1.0, 150.0),
        learn_tau: bool = False,
        tau_s: float = 5.0,
        lam: float = 5.0,
        hidden: Sequence[int] | None = None,
        dt: float = 1.0,
        fused: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        branches = in_features if branches is None else branches
        require_sizes(in_features=in_features, out_features=out_features, memory=memory, branches=branches)
        per_branch = -(-in_features // branches) if per_branch is None else per_branch
        if per_branch < 1 or (routing == "neighbours" and per_branch > in_features):
            raise ValueError(f"there are {per_branch} synapses a branch; expected 1 to {in_features}, the inputs")
        if routing not in _ROUTINGS:
            raise ValueError(f"routing is {routing!r}; expected one of {', '.join(_ROUTINGS)}")
        ends = {"tau_m, the least,": tau_m[0], "tau_m, the greatest,": tau_m[1]}
        numbers = ends | {"tau_s": tau_s, "dt": dt, "lam": lam}
        for name, number in numbers.items():
            POSITIVE.require(name, number)
        if tau_m[0] > tau_m[1]:
            raise ValueError(f"tau_m is {tau_m}; expected the least, then the greatest")
        like: dict[str, Any] = {"device": device, "dtype": dtype}
        self.in_features, self.out_features, self.branches, self.memory = in_features, out_features, branches, memory
        self.tau_m_range, self.dt, self.lam, self.fused = tau_m, dt, lam, fused
        if routing == "random":
            indices = torch.randint(in_features, (branches, per_branch))
        else:
            starts = torch.linspace(0, in_features - per_branch, branches).round().long()
            indices = starts[:, None] + torch.arange(per_branch)
        self.register_buffer("indices", indices.to(device))
        self.synapses = nn.Parameter(torch.full((branches, per_branch), 0.5, **like))
        sizes = [branches + memory, *([2 * memory] if hidden is None else hidden), memory]
        self.mlp = nn.ModuleList(nn.Linear(a, b, **like) for a, b in pairwise(sizes))
        self.readout = nn.Linear(memory, out_features, **like)
        self.register_buffer("kappa_s", torch.full((branches,), math.exp(-dt / tau_s), **like))
        # places in the logarithm's range; the ends' logits are infinite, which only fixed ones may be
        places = torch.linspace(0, 1, memory + 2 * learn_tau, dtype=torch.float64)
        share = places[1:-1] if learn_tau else places
        logit = nn.Parameter(torch.logit(share).to(self.synapses), requires_grad=learn_tau)
        self.register_parameter("tau_logit", logit)

    @property
    def tau_m(self) -> Tensor:
        """The memory's time constants (ms), (memory,)."""
        low, high = (math.log(t) for t in self.tau_m_range)
        return torch.exp(low + (high - low) * torch.sigmoid(self.tau_logit))

    def init_state(self, batch: int) -> CellState:
        """Zeros."""
        return {
            "s": self.synapses.new_zeros(batch, self.branches), "m": self.synapses.new_zeros(batch, self.memory)
        }  # fmt: skip

    @in_own_precision
    def forward(self, x: Tensor, state: CellState | None = None) -> tuple[Tensor, CellState]:
        """x (T, B, in_features) -> y (T, B, out_features) and the state after the last step."""
        self._require_sequence(x, self.synapses)
        state = self.init_state(x.shape[1]) if state is None else state
        require_state(state, {"s": (x.shape[1], self.branches), "m": (x.shape[1], self.memory)}, self.synapses)
        tau_m = self.tau_m
        memories = {"tau_m": tau_m.detach() / self.dt, "tau_s": steps_remembered(self.kappa_s)}
        warn_of_long_memory(self, memories, x.dtype)
        kappa = torch.exp(-self.dt / tau_m)
        gain = self.lam * (1 - kappa)
        b = linear(x, self._routes(), None)
        weights: list[Any] = []
        if self.fused and are_plain(self.mlp):
            weights = [p for layer in self.mlp for p in (layer.weight, layer.bias)]
        if weights and loops_apply(x, [*state.values(), *weights]):
            s, m = _elm_sequence.fused(b, state["s"], state["m"], self.kappa_s, kappa, gain, weights)
        else:
            s, m = self._plain(b, state, kappa, gain)
        if holds_values(s) and not bool(torch.isfinite(s[-1].detach()).all()):
            require_finite(x)
            raise ValueError("values in s are not finite though x is; expected finite weights and a finite state")
        return self.readout(m), {"s": s[-1], "m": m[-1]}

    def _routes(self) -> Tensor:
        """Weight of each input (columns) in each branch (rows), dense."""
        zero = self.synapses.new_zeros(self.branches, self.in_features)
        return zero.scatter_add(1, self.indices, self.synapses.clamp(min=0))

    def _plain(self, b: Tensor, state: CellState, kappa: Tensor, gain: Tensor) -> tuple[Tensor, Tensor]:
        s, m, traces, memories = state["s"], state["m"], [], []
        for row in b.unbind(0):
            s = self.kappa_s * s + row
            z = torch.cat([s, kappa * m], 1)
            for k, layer in enumerate(self.mlp):
                z = layer(z if k == 0 else torch.relu(z))
            m = kappa * m + gain * (HEIGHT * torch.tanh(SLOPE * z))
            traces.append(s)
            memories.append(m)
        return torch.stack(traces), torch.stack(memories)

    def _count_operations(self, counts: Counts, arguments: dict[str, Any], out: Any) -> None:
        samples = arguments["x"][..., 0].numel()
        counts.fan(arguments["x"], torch.bincount(self.indices.flatten(), minlength=self.in_features))
        counts.multiply(samples * sum(p.in_features * p.out_features for p in (*self.mlp, self.readout)))  # type: ignore
        counts.updates += samples * self.memory
        counts.own(samples * self.branches, 1, 1)
        counts.own(samples * self.memory, 5, 1)  # κm, ⅔, tanh, 1.7159 and lam (1 − κ)

    def extra_repr(self) -> str:
        sizes = f"{self.in_features}, {self.out_features}, memory={self.memory}, branches={self.branches}"
        return f"{sizes}, tau_m={self.tau_m_range}"


__all__ = ["ELM"]
