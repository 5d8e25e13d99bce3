"""Modern Hopfield layers (Ramsauer et al. 2021): association of states with stored patterns, which is attention."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from ranvier.nn.cell import FixedAttributes
from ranvier.nn.checks import holds_values, require_tensor
from ranvier.nn.counting.counts import Counts
from ranvier.nn.domains import NOT_NEGATIVE, POSITIVE, SHARE, Whole, require_sizes

Input = Tensor | tuple[Tensor, Tensor, Tensor]


class Hopfield(FixedAttributes):
    """State patterns R retrieve from stored patterns Y and are projected, softmax(β R W_Q W_Kᵀ Yᵀ) Y' W_V, by heads.

    The names are those of the authors' own layer (hflayers). Its energy is `ranvier.energies.ModernHopfield`'s in
    the space of each head; with `update_steps_max` the state takes that many updates there before it is projected.

    Parameters
    ----------
    input_size : of state patterns. stored_pattern_size, pattern_projection_size : of the other two, if they differ.
    hidden_size : of the association space, all heads together; input_size if none is given.
    output_size : input_size if none is given.
    num_heads : divides hidden_size.
    scaling : β; 1/√(hidden_size/num_heads) if none is given, as in attention.
    update_steps_max : updates of the state before the projection, at most; 0 is attention. An update ends early once
        no state moves by more than update_steps_eps (Euclidean).
    normalize : layer norms on the three patterns first, as the authors have it.
    static : neither norms, nor projections, nor heads: the patterns as they are.
    dropout : of associations, in training.

    `forward(input)`: input is one tensor (B, L, D) for all three patterns, or (stored (B, S, ·), state (B, L, ·),
    projection (B, S, ·)); returns (B, L, output_size). With batch_first=False, (L, B, ·) throughout.
    stored_pattern_padding_mask (B, S): True is ignored. association_mask, (L, S) or (B, L, S): True is ignored, or
    floats that are added. `updates`: how many the last pass took.

    Raises ValueError for sizes that do not fit, and for an entry of which nothing is stored but padding.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> layer = rv.nn.Hopfield(4)
    >>> layer(torch.zeros(2, 3, 4)).shape
    torch.Size([2, 3, 4])
    """

    FIXED = frozenset({"hidden", "sizes", "num_heads", "static"})
    NUMBERS = {"scaling": POSITIVE, "update_steps_max": Whole(0), "update_steps_eps": NOT_NEGATIVE, "dropout": SHARE}

    def __init__(
        self,
        input_size: int,
        hidden_size: int | None = None,
        output_size: int | None = None,
        *,
        stored_pattern_size: int | None = None,
        pattern_projection_size: int | None = None,
        num_heads: int = 1,
        scaling: float | None = None,
        update_steps_max: int = 0,
        update_steps_eps: float = 1e-4,
        dropout: float = 0.0,
        normalize: bool = True,
        static: bool = False,
        batch_first: bool = True,
    ) -> None:
        super().__init__()
        hidden = input_size if hidden_size is None else hidden_size
        require_sizes(input_size=input_size, hidden_size=hidden, num_heads=num_heads)
        if hidden % num_heads:
            raise ValueError(f"hidden_size is {hidden}, num_heads is {num_heads}; expected a multiple")
        stored = input_size if stored_pattern_size is None else stored_pattern_size
        projected = stored if pattern_projection_size is None else pattern_projection_size
        if static and (num_heads != 1 or hidden_size not in (None, input_size) or stored != input_size):
            raise ValueError("there is a static layer with heads or other sizes; expected one head and equal sizes")
        self.hidden = hidden
        self.sizes = (stored, input_size, projected)
        self.num_heads, self.scaling, self.dropout = num_heads, scaling, dropout
        self.update_steps_max, self.update_steps_eps = update_steps_max, update_steps_eps
        self.static, self.batch_first, self.updates = static, batch_first, 0
        if not static:
            self.norm_stored, self.norm_state, self.norm_projection = (
                nn.LayerNorm(size) if normalize else nn.Identity() for size in self.sizes
            )
            self.key, self.query = nn.Linear(stored, hidden), nn.Linear(input_size, hidden)
            self.value = nn.Linear(projected, hidden)
            self.out = nn.Linear(hidden, input_size if output_size is None else output_size)

    def forward(
        self, input: Input, stored_pattern_padding_mask: Tensor | None = None, association_mask: Tensor | None = None
    ) -> Tensor:
        """(B, L, output_size)."""
        if isinstance(input, tuple | list) and len(input) == 3:
            stored, state, projection = input
        else:
            require_tensor(input)
            stored, state, projection = input, input, input
        for name, x, size in zip(("stored", "state", "projection"), (stored, state, projection), self.sizes):
            require_tensor(x)
            if x.ndim != 3 or x.shape[2] != size:
                raise ValueError(f"there are {name} patterns {tuple(x.shape)}; expected three axes, the last {size}")
        if not self.batch_first:
            stored, state, projection = stored.transpose(0, 1), state.transpose(0, 1), projection.transpose(0, 1)
        mask = self._mask(stored_pattern_padding_mask, association_mask)
        if self.static:
            y = self._associate(state[:, None], stored[:, None], projection[:, None], mask)[:, 0]
        else:
            k = self._heads(self.key(self.norm_stored(stored)))
            q = self._heads(self.query(self.norm_state(state)))
            v = self._heads(self.value(self.norm_projection(projection)))
            y = self.out(self._associate(q, k, v, mask).transpose(1, 2).flatten(2))
        return y if self.batch_first else y.transpose(0, 1)

    def _associate(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        updates, at_rest = 0, torch.zeros((), dtype=torch.bool, device=q.device)
        for _ in range(self.update_steps_max):
            new = scaled_dot_product_attention(q, k, k, mask, scale=self.scaling)
            moved = (new - q).detach().norm(dim=-1).amax()
            updates += 1
            if holds_values(moved):
                q = new
                if bool(moved <= self.update_steps_eps):
                    break
            else:  # a tracer follows no decision: states at rest are kept through the updates that remain
                q = torch.where(at_rest, q, new)
                at_rest = at_rest | (moved <= self.update_steps_eps)
        self.updates = updates
        dropout = self.dropout if self.training else 0.0
        return scaled_dot_product_attention(q, k, v, mask, dropout, scale=self.scaling)

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.num_heads, -1)).transpose(1, 2)  # (B, heads, L, d)

    @staticmethod
    def _mask(padding: Tensor | None, association: Tensor | None) -> Tensor | None:
        """As attention takes it: True is kept, floats are added; (B or 1, 1, L or 1, S)."""
        mask = None
        if association is not None:
            mask = ~association if association.dtype == torch.bool else association
            mask = mask[None, None] if mask.ndim == 2 else mask[:, None]
        if padding is not None:
            if holds_values(padding) and bool(padding.all(1).any()):
                raise ValueError(
                    f"there is nothing but padding in entry {int(padding.all(1).nonzero()[0])}; expected one "
                    "value at least"
                )
            unmasked = ~padding[:, None, None, :]
            if mask is None:
                mask = unmasked
            else:
                mask = mask & unmasked if mask.dtype == torch.bool else mask.masked_fill(~unmasked, -math.inf)
        return mask

    def _count_own_operations(self, counts: Counts, arguments: dict[str, Any], out: Any) -> None:
        """Of the associations; the projections are modules, and counted there."""
        patterns = arguments["input"]
        stored, state, value = (patterns,) * 3 if isinstance(patterns, Tensor) else patterns
        length = 1 if self.batch_first else 0
        batch, pairs = state.shape[1 - length], state.shape[length] * stored.shape[length]
        hidden = stored.shape[2] if self.static else self.hidden
        values = value.shape[2] if self.static else hidden
        passes = batch * (self.updates + 1)
        counts.multiply(pairs * batch * (2 * hidden * self.updates + hidden + values))
        counts.own(passes * pairs * self.num_heads, 3, 1)  # β, exponential and quotient of the softmax, and its sum
        counts.updates += passes * state.shape[length] * hidden

    def extra_repr(self) -> str:
        stored, state, projected = self.sizes
        return f"stored={stored}, state={state}, projection={projected}, heads={self.num_heads}, static={self.static}"


class HopfieldPooling(nn.Module):
    """A set (B, L, input_size) -> (B, quantity · output_size): `quantity` learned state patterns retrieve from it.

    quantity: how many, at least 1. Other arguments, and errors, are `Hopfield`'s.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> rv.nn.HopfieldPooling(4)(torch.zeros(2, 3, 4)).shape
    torch.Size([2, 4])
    """

    def __init__(
        self, input_size: int, hidden_size: int | None = None, output_size: int | None = None, *, quantity: int = 1,
        **options: object,
    ) -> None:  # fmt: skip
        super().__init__()
        if quantity < 1:
            raise ValueError(f"quantity is {quantity}; expected at least 1")
        self.hopfield = Hopfield(input_size, hidden_size, output_size, **options)  # type: ignore[arg-type]
        self.pooling_weights = nn.Parameter(torch.randn(1, quantity, input_size) * 0.02)

    def forward(
        self, input: Tensor, stored_pattern_padding_mask: Tensor | None = None, association_mask: Tensor | None = None
    ) -> Tensor:
        """(B, quantity · output_size)."""
        require_tensor(input)
        batch = 0 if self.hopfield.batch_first else 1
        state = self.pooling_weights.expand(input.shape[batch], -1, -1)
        state = state if batch == 0 else state.transpose(0, 1)
        y = self.hopfield((input, state, input), stored_pattern_padding_mask, association_mask)
        return y.transpose(0, batch).flatten(1)


class HopfieldLookup(nn.Module):
    """States (B, L, input_size) retrieve from `quantity` learned stored patterns, and their learned projections.

    The authors' HopfieldLayer. quantity: how many. separate: projections are separate parameters; else they are
    the stored patterns. Other arguments, and errors, are `Hopfield`'s.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> rv.nn.HopfieldLookup(4, quantity=6)(torch.zeros(2, 3, 4)).shape
    torch.Size([2, 3, 4])
    """

    def __init__(
        self, input_size: int, hidden_size: int | None = None, output_size: int | None = None, *, quantity: int = 1,
        separate: bool = True, **options: object,
    ) -> None:  # fmt: skip
        super().__init__()
        if quantity < 1:
            raise ValueError(f"quantity is {quantity}; expected at least 1")
        self.hopfield = Hopfield(input_size, hidden_size, output_size, **options)  # type: ignore[arg-type]
        stored, _, projected = self.hopfield.sizes
        if not separate and stored != projected:
            raise ValueError(f"there are sizes {stored} and {projected}; expected equal ones, or separate=True")
        self.lookup_weights = nn.Parameter(torch.randn(1, quantity, stored) * 0.02)
        self.target_weights = nn.Parameter(torch.randn(1, quantity, projected) * 0.02) if separate else None

    def forward(self, input: Tensor, association_mask: Tensor | None = None) -> Tensor:
        """(B, L, output_size)."""
        require_tensor(input)
        batch = 0 if self.hopfield.batch_first else 1

        def expanded(weights: Tensor) -> Tensor:
            weights = weights.expand(input.shape[batch], -1, -1)
            return weights if batch == 0 else weights.transpose(0, 1)

        values = self.lookup_weights if self.target_weights is None else self.target_weights
        patterns = expanded(self.lookup_weights), input, expanded(values)
        return self.hopfield(patterns, association_mask=association_mask)


__all__ = ["Hopfield", "HopfieldLookup", "HopfieldPooling"]
