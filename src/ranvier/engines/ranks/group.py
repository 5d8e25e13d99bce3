"""The processes that share a run: `torch.distributed` brings them together, sockets carry spikes within a machine."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch.distributed as dist
from numpy.typing import NDArray

from ranvier._ranks import Ranks
from ranvier.engines.ranks.links import Links
from ranvier.engines.recording import shares

#: seconds after which a rank that does not answer counts as lost
SILENCE = 50.0

T = TypeVar("T")


class RankGroup:
    """Some processes, of which this is the `index`-th of `count`. All of them make every call below, in the same order.

    Building may take ranks different times: they wait for each other as long as the user's group allows. From then on
    a rank that is silent for `SILENCE` counts as lost: every other raises ConnectionError.
    """

    def __init__(self, group: dist.ProcessGroup | None) -> None:
        self._patient = Ranks(group)
        self.index, self.count = self._patient.index, self._patient.count
        self._own = dist.new_group(
            dist.get_process_group_ranks(group), timedelta(seconds=SILENCE), "gloo", use_local_synchronization=True
        )
        self._quick = Ranks(self._own)
        self.links = Links(self._quick, SILENCE)

    @classmethod
    def of(cls, ranks: bool | dist.ProcessGroup) -> RankGroup | None:
        """What `simulate(ranks=)` means; None for this process alone.

        Raises RuntimeError where torch.distributed was not initialised and torchrun did not start the process.
        """
        if ranks is False:
            return None
        if not dist.is_available() or not dist.is_gloo_available():
            raise RuntimeError("ranks is True, but torch has no gloo here; expected a torch with it: use ranks=False")
        if not dist.is_initialized():
            if not {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= set(os.environ):
                raise RuntimeError(
                    "ranks is True in a process without others; expected one that torchrun started, or "
                    "torch.distributed.init_process_group before: run torchrun --nproc-per-node 2 FILE"
                )
            dist.init_process_group("gloo")
        group = None if ranks is True else ranks
        if group is not None and not isinstance(group, dist.ProcessGroup):
            raise TypeError(f"ranks is {ranks!r:.60}; expected True, False or a group of torch.distributed")
        if dist.get_rank(group) < 0:
            raise ValueError("ranks is a group that this process is not in; expected one of its groups")
        return cls(group) if dist.get_world_size(group) > 1 else None

    def build(self, work: Callable[[], T]) -> T:
        """What `work` returns here, once it has ended on all ranks, however long that takes."""
        return self._patient.together(work)

    def together(self, work: Callable[[], T]) -> T:
        """What `work` returns here, once it has ended on all ranks; the first error of any is raised on all."""
        return self._quick.together(work)

    def numbers(self, own: NDArray[np.int64]) -> NDArray[np.int64]:
        """A few whole numbers of every rank, (ranks, n), quickly."""
        message = np.concatenate([np.array([1 + 2 * len(own)], np.int32), own.view(np.int32)])
        answers = self.links.swap(message) | {self.index: message}
        return np.stack([answers[rank][1:].copy().view(np.int64) for rank in range(self.count)])

    def from_first(self, number: int) -> int:
        """The first rank's number, on all."""
        return int(self.numbers(np.array([number], np.int64))[0, 0])

    def total(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Sums over the ranks."""
        return self.numbers(np.ascontiguousarray(counts, np.int64)).sum(0)

    def gather(self, arrays: Mapping[str, NDArray[Any]]) -> list[dict[str, NDArray[Any]]]:
        """Every rank's arrays, by rank, on all."""
        from safetensors.numpy import load, save

        parts = self._quick.gather(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))
        return [load(part) for part in parts]

    def whole(self, share: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """All ranks' shares of arrays, put together, on all."""
        return shares.whole(self.gather(share))

    def require_same(self, what: Mapping[str, Any]) -> None:
        """Raise ValueError on all ranks unless they agree on every entry."""
        texts = [json.loads(part) for part in self._patient.gather(json.dumps(what, default=str).encode())]
        for key in what:
            values = [text.get(key) for text in texts]
            if any(value != values[0] for value in values):
                rank = next(k for k, value in enumerate(values) if value != values[0])
                raise ValueError(
                    f"{key} is {values[rank]!r:.80} on rank {rank} and {values[0]!r:.80} on rank 0; expected the same "
                    "call, of the same network, on all ranks"
                )

    def close(self) -> None:
        """Let go of the connections; the others see it if they still wait."""
        self.links.close()
        dist.destroy_process_group(self._own)


__all__ = ["SILENCE", "RankGroup"]
