"""Spiking neurons whose synapses an astrocyte gates."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ranvier.engines.surrogates import ArcTan, Surrogate
from ranvier.nn.cell import CellState, SequenceCell, in_own_precision
from ranvier.nn.checks import require_finite, require_state
from ranvier.nn.counting.counts import Counts
from ranvier.nn.domains import DECAY, POSITIVE, require_sizes
from ranvier.nn.precision import steps_remembered, warn_of_long_memory


class AstrocyteLIF(SequenceCell):
    """Recurrent leaky integrate-and-fire neurons with tripartite synapses.

    After the abstract of Shen et al. (2023, arXiv 2312.07625), which modulates a spiking unit by neuron–astrocyte
    interaction so that memory lasts; their equations were not at hand. These are ours, put together from the
    biophysical literature: each of A astrocytes ensheathes the synapses of a group of neurons; its calcium
    integrates presynaptic activity slowly (Gordleeva et al. 2021), the gliotransmitter it releases is a Hill
    function of calcium, and that moves the release probability of every synapse from U to its own α (De Pittà et
    al. 2011: u = (1 − Γ) U + Γ α). With z = [x, y of the step before], each step

        c ← κ c + S x,  S ≥ 0                    calcium of each astrocyte
        Γ = c²/(1 + c²)                          gliotransmission
        I = Σ_k W_k ((1 − Γ) U + Γ α_k) z_k      Γ of the neuron's astrocyte, before this step's calcium
        u = beta v + I + b;  y = 1 where u ≥ 1;  v ← u − y.

    κ = exp(−1/τ), τ spaced logarithmically over `tau` (steps); U = ½; α = sigmoid(logit). An astrocyte gates
    recurrent synapses too, but senses afferent ones only, a random half at first: the steady activity of recurrent
    ones would saturate it. What follows the abstract: the interaction modulates a spiking unit, on a
    slower time scale, for retention. What is ours: every equation above.

    Parameters
    ----------
    in_features, out_features : inputs (spikes or rates >= 0); neurons.
    astrocytes : number of astrocytes, each with out_features/astrocytes neurons; a divisor of out_features.
    tau : least and greatest time constant of calcium (steps).
    beta : decay of the membrane a step.
    recurrent : synapses between the neurons too; False: z = x.
    modulated : False removes the astrocytes' effect (Γ = 0): the ablation.
    surrogate : slope of the spike.

    `forward(x[T, B, in_features], state=None) -> (y[T, B, out_features], state)`; the state is a dict of v, y
    (B, out_features) and c (B, astrocytes). Plain torch. Raises ValueError for wrong sizes and input that is not
    finite.

    >>> layer = rv.nn.AstrocyteLIF(3, 4, astrocytes=2)
    >>> y, state = layer(torch.zeros(5, 1, 3))
    >>> tuple(state["c"].shape), state["c"].abs().max().item()  # no activity, no calcium
    ((1, 2), 0.0)
    """

    FIXED = frozenset({"in_features", "out_features", "astrocytes", "recurrent"})
    NUMBERS = {"beta": DECAY}
    kappa: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        astrocytes: int = 8,
        tau: tuple[float, float] = (20.0, 500.0),
        beta: float = 0.9,
        recurrent: bool = True,
        modulated: bool = True,
        surrogate: Surrogate | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        require_sizes(in_features=in_features, out_features=out_features, astrocytes=astrocytes)
        if out_features % astrocytes:
            raise ValueError(f"there are {astrocytes} astrocytes; expected a divisor of {out_features}, the neurons")
        for name, number in (("tau, the least,", tau[0]), ("tau, the greatest,", tau[1])):
            POSITIVE.require(name, number)
        if tau[0] > tau[1]:
            raise ValueError(f"tau is {tau}; expected the least, then the greatest")
        DECAY.require("beta", beta)
        like: dict[str, Any] = {"device": device, "dtype": dtype}
        self.in_features, self.out_features, self.astrocytes = in_features, out_features, astrocytes
        self.beta, self.modulated, self.surrogate = beta, modulated, surrogate or ArcTan()
        self.recurrent, total = recurrent, in_features + (out_features if recurrent else 0)
        # twice what is usual, for U halves it; recurrence begins weak, so that it does not swamp the input
        bound = torch.full((total,), 2 / math.sqrt(in_features), **like)
        bound[in_features:] = 0.2 / math.sqrt(out_features)
        self.weight = nn.Parameter(torch.empty(out_features, total, **like).uniform_(-1, 1) * bound)
        self.bias = nn.Parameter(torch.zeros(out_features, **like))
        self.alpha_logit = nn.Parameter(torch.randn(out_features, total, **like))
        reach = 4 / in_features
        self.sensing = nn.Parameter(torch.empty(astrocytes, in_features, **like).uniform_(-reach, reach))
        low, high = (math.log(t) for t in tau)
        self.register_buffer("kappa", torch.exp(-1 / torch.exp(torch.linspace(low, high, astrocytes, **like))))

    def init_state(self, batch: int) -> CellState:
        """Zeros."""
        v = self.weight.new_zeros(batch, self.out_features)
        return {"v": v, "y": v.clone(), "c": self.weight.new_zeros(batch, self.astrocytes)}

    @in_own_precision
    def forward(self, x: Tensor, state: CellState | None = None) -> tuple[Tensor, CellState]:
        """x (T, B, in_features) -> y (T, B, out_features) and the state after the last step."""
        self._require_sequence(x, self.weight)
        require_finite(x)
        state = self.init_state(x.shape[1]) if state is None else state
        own = x.shape[1], self.out_features
        require_state(state, {"v": own, "y": own, "c": (x.shape[1], self.astrocytes)}, self.weight)
        warn_of_long_memory(self, self._steps_remembered(), x.dtype)
        v, y, c = state["v"], state["y"], state["c"]
        matrix = self._matrix()
        inputs = F.linear(x, matrix[:, : self.in_features])
        sensed = F.linear(x, self.sensing.clamp(min=0))
        recurrent = matrix[:, self.in_features :].T
        group = self.out_features // self.astrocytes
        outputs = []
        for row, calcium in zip(inputs.unbind(0), sensed.unbind(0), strict=True):
            row = torch.addmm(row, y, recurrent) if self.recurrent else row
            current, modulated = row.chunk(2, 1)
            if self.modulated:
                squared = c * c
                gate = (squared / (1 + squared)).repeat_interleave(group, 1)
                current = torch.addcmul(current, gate, modulated)
            c = torch.addcmul(calcium, self.kappa, c)
            u = torch.add(current + self.bias, v, alpha=self.beta)
            y = self.surrogate(u - 1)
            v = u - y.detach()
            outputs.append(y)
        return torch.stack(outputs), {"v": v, "y": y, "c": c}

    def _steps_remembered(self) -> dict[str, Tensor | float]:
        return {"beta": 1 / (1 - self.beta) if self.beta < 1 else math.inf, "tau": steps_remembered(self.kappa)}

    def _matrix(self) -> Tensor:
        """U W and W (α − U) below each other, for one product."""
        return torch.cat([0.5 * self.weight, self.weight * (torch.sigmoid(self.alpha_logit) - 0.5)])

    def _count_operations(self, counts: Counts, arguments: dict[str, Any], out: Any) -> None:
        x, y, state = arguments["x"], out[0], arguments["state"]
        each = self.out_features * (2 if self.modulated else 1)  # U W, and what Γ gates
        counts.fan(x, each + self.astrocytes)
        if self.recurrent:
            before = torch.zeros_like(y[0]) if state is None else state["y"]
            counts.fan(torch.cat([before[None], y[:-1]]), each)
        counts.updates += y.numel()
        counts.own(y.numel(), *((2, 4) if self.modulated else (1, 3)))
        counts.own(x[..., 0].numel() * self.astrocytes, *((3, 2) if self.modulated else (1, 1)))

    def extra_repr(self) -> str:
        flags = f"recurrent={self.recurrent}, modulated={self.modulated}"
        return f"{self.in_features}, {self.out_features}, astrocytes={self.astrocytes}, {flags}"


__all__ = ["AstrocyteLIF"]
