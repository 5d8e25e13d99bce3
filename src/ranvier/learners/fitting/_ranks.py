"""Training by several processes that torchrun started: the first one writes, all learn what it read or what failed."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor

from ranvier._locks import FolderInUseError

#: errors that every rank raises as the first one does; others become a RuntimeError there
_ERRORS: dict[str, type[Exception]] = {e.__name__: e for e in (ValueError, TypeError, OSError, FolderInUseError)}


class Ranks:
    """The processes of torch.distributed's default group, or this one alone."""

    def __init__(self) -> None:
        joined = dist.is_available() and dist.is_initialized()
        self.count = dist.get_world_size() if joined else 1
        self.index = dist.get_rank() if joined else 0
        self.first = self.index == 0

    def from_first(self, work: Callable[[], bytes]) -> bytes:
        """What `work` returns on the first rank, on all; its error is raised on all. Nobody goes on before it ends."""
        if self.count == 1:
            return work()
        status, result, error = b"", b"", None
        if self.first:
            try:
                result = work()
            except Exception as problem:
                error = problem
                status = f"{type(problem).__name__}\n{problem}".encode()
        status, result = _broadcast(status), _broadcast(result)
        if error is not None:
            raise error
        if status:
            name, _, text = status.decode().partition("\n")
            raise _ERRORS.get(name, RuntimeError)(text)
        return result

    def gather(self, value: bytes) -> list[bytes]:
        """Every rank's bytes, by rank, on all ranks."""
        if self.count == 1:
            return [value]
        lengths = [torch.zeros(1, dtype=torch.int64, device=_device()) for _ in range(self.count)]
        dist.all_gather(lengths, torch.tensor([len(value)], device=_device()))
        sizes = [int(length) for length in lengths]
        own = torch.zeros(max(*sizes, 1), dtype=torch.uint8, device=_device())
        own[: len(value)] = _tensor(value)
        parts = [torch.empty_like(own) for _ in sizes]
        dist.all_gather(parts, own)
        return [_bytes(part[:size]) for part, size in zip(parts, sizes, strict=True)]


def _broadcast(value: bytes) -> bytes:
    length = torch.tensor([len(value)], device=_device())
    dist.broadcast(length, 0)
    data = _tensor(value) if dist.get_rank() == 0 else torch.empty(int(length), dtype=torch.uint8, device=_device())
    if len(data):
        dist.broadcast(data, 0)
    return _bytes(data)


def _device() -> torch.device:
    return torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else torch.device("cpu")


def _tensor(value: bytes) -> Tensor:
    return torch.frombuffer(bytearray(value), dtype=torch.uint8).to(_device()) if value else torch.zeros(
        0, dtype=torch.uint8, device=_device()
    )  # fmt: skip


def _bytes(value: Tensor) -> bytes:
    return value.cpu().numpy().tobytes()


__all__ = ["Ranks"]
