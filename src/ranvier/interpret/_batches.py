"""Batches as a user gives them, to the arguments that a model takes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

#: what a user gives as data: batches as `batch_of` takes them
Data = Iterable[Tensor | Sequence[Tensor] | Mapping[str, Any]]


@dataclass(frozen=True)
class Batch:
    """One forward pass: positional and named arguments, how many examples, and which tokens are no padding."""

    args: tuple[Tensor, ...]
    named: Mapping[str, Any]
    size: int
    mask: Tensor | None

    def run(self, model: nn.Module) -> Any:
        return model(*self.args, **self.named)

    @property
    def tokens(self) -> int:
        """The length of the texts, 0 where the inputs are none."""
        ids = self.named.get("input_ids")
        return ids.shape[1] if isinstance(ids, Tensor) and ids.ndim == 2 else 0

    def digest(self) -> Tensor:
        """16 bytes that change with any value of the batch, (16,) uint8."""
        state = hashlib.blake2b(digest_size=16)
        for name, value in (*((str(k), v) for k, v in enumerate(self.args)), *sorted(self.named.items())):
            if isinstance(value, Tensor):
                state.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
                state.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
            else:
                state.update(f"{name} {value!r}".encode())
        return torch.frombuffer(bytearray(state.digest()), dtype=torch.uint8)


def batch_of(value: Any, position: int) -> Batch:
    """A tensor; a pair (inputs, labels), of which labels are left out; or a mapping of named arguments.

    Named arguments may hold an `attention_mask` (B, T); `labels` are left out. Raises TypeError for anything else,
    ValueError for an empty batch and for inputs that are not finite.
    """
    args: tuple[Tensor, ...] = ()
    named: dict[str, Any] = {}
    if isinstance(value, Tensor):
        args = (value,)
    elif isinstance(value, tuple | list) and value and isinstance(value[0], Tensor):
        args = (value[0],)
    elif isinstance(value, Mapping):
        named = {str(name): one for name, one in value.items() if name != "labels"}
    tensors = [*args, *(one for one in named.values() if isinstance(one, Tensor))]
    if not tensors:
        raise TypeError(
            f"batch {position} is {type(value).__name__}; expected a tensor, (inputs, labels), or a mapping of named "
            "tensors such as a tokenizer returns with return_tensors='pt'."
        )
    if any(one.ndim == 0 or one.numel() == 0 for one in tensors):
        raise ValueError(f"batch {position} is empty; expected one example at least: leave it out.")
    for one in tensors:
        if one.is_floating_point() and not bool(torch.isfinite(one).all()):
            raise ValueError(
                f"batch {position} has values that are not finite; expected finite ones: look at the data."
            )
    mask = named.get("attention_mask")
    if mask is not None:
        mask = mask.bool()
        if mask.ndim != 2 or not bool(mask.any(1).all()):
            raise ValueError(
                f"the attention mask of batch {position} has shape {tuple(mask.shape)} or a row without a token; "
                "expected (B, T) with one token a row: leave out empty texts."
            )
    return Batch(args, named, len(tensors[0]), mask)


def require_tokens(batch: Batch, model: nn.Module, position: int) -> None:
    """ValueError where token numbers lie outside the model's vocabulary: another model's tokenizer, as a rule."""
    ids = batch.named.get("input_ids")
    embeddings = getattr(model, "get_input_embeddings", None)
    if not isinstance(ids, Tensor) or embeddings is None:
        return
    size = int(embeddings().weight.shape[0])
    if int(ids.min()) < 0 or int(ids.max()) >= size:
        raise ValueError(
            f"batch {position} has tokens from {int(ids.min())} to {int(ids.max())}; expected 0 to {size - 1}, the "
            "model's vocabulary: use the tokenizer that belongs to it."
        )


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode and no gradients; afterwards every module's mode is as before."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
