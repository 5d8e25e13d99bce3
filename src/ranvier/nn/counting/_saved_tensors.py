"""Bytes that autograd keeps for a backward pass, followed while they are kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


class SavedMemory:
    """`now` and `most`: bytes of the storages saved, each counted once, `known` tensors' left out."""

    def __init__(self, known: list[Tensor]) -> None:
        self.now = self.most = 0
        self._known = {t.untyped_storage().data_ptr() for t in known}
        self._holders: dict[int, int] = {}

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Count all that is saved within the block, until it is let go, then or later."""
        pack, unpack = lambda t: _SavedTensor(t.detach(), self), lambda saved: saved.tensor
        with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
            yield

    def add(self, tensor: Tensor) -> None:
        """One more holder of a tensor's storage."""
        storage = tensor.untyped_storage()
        place = storage.data_ptr()
        if place in self._known:
            return
        holders = self._holders.get(place, 0)
        self._holders[place] = holders + 1
        if holders == 0:
            self.now += storage.nbytes()
            self.most = max(self.most, self.now)

    def remove(self, tensor: Tensor) -> None:
        """One holder less."""
        storage = tensor.untyped_storage()
        place = storage.data_ptr()
        if place not in self._holders:
            return
        self._holders[place] -= 1
        if self._holders[place] == 0:
            del self._holders[place]
            self.now -= storage.nbytes()


class _SavedTensor:
    """A saved tensor; its storage cannot be another's while this lives."""

    def __init__(self, tensor: Tensor, memory: SavedMemory) -> None:
        self.tensor, self._memory = tensor, memory
        memory.add(tensor)

    def __del__(self) -> None:
        self._memory.remove(self.tensor)


__all__ = ["SavedMemory"]
