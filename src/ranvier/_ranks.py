"""Processes that torchrun started and that work together: what one of them read or failed at, all learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from ranvier.files.locks import FolderInUseError

#: errors that every rank raises as the first one does; others become a RuntimeError there
_ERRORS: dict[str, type[Exception]] = {
    e.__name__: e for e in (ValueError, TypeError, OSError, FolderInUseError, FloatingPointError)
}

T = TypeVar("T")


class Ranks:
    """The processes of a group of torch.distributed, by default its default group, or this one alone."""

    def __init__(self, group: dist.ProcessGroup | None = None) -> None:
        joined = dist.is_available() and dist.is_initialized()
        self.group = group
        self.count = dist.get_world_size(group) if joined else 1
        self.index = dist.get_rank(group) if joined else 0
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
        try:
            status, result = self._broadcast(status), self._broadcast(result)
        except RuntimeError as problem:
            raise lost(f"a rank of {self.count}", problem) from problem
        if error is not None:
            raise error
        if status:
            raise _error(status)
        return result

    def together(self, work: Callable[[], T]) -> T:
        """What `work` returns here, once it has ended on all ranks; the first error of any rank is raised on all."""
        if self.count == 1:
            return work()
        status, error, result = b"", None, None
        try:
            result = work()
        except Exception as problem:
            error = problem
            status = f"{type(problem).__name__}\n{problem}".encode()
        answers = self.gather(status)
        if error is not None:
            raise error
        for rank, answer in enumerate(answers):
            if answer:
                raise _error(answer, f"rank {rank}: ")
        return result  # type: ignore[return-value]

    def gather(self, value: bytes) -> list[bytes]:
        """Every rank's bytes, by rank, on all ranks. Raises ConnectionError where one has ended or is silent."""
        if self.count == 1:
            return [value]
        try:
            return self._gather(value)
        except RuntimeError as error:
            raise lost(f"a rank of {self.count}", error) from error

    def _gather(self, value: bytes) -> list[bytes]:
        device = self._device
        lengths = [torch.zeros(1, dtype=torch.int64, device=device) for _ in range(self.count)]
        dist.all_gather(lengths, torch.tensor([len(value)], device=device), group=self.group)
        sizes = [int(length) for length in lengths]
        own = torch.zeros(max(*sizes, 1), dtype=torch.uint8, device=device)
        own[: len(value)] = self._tensor(value)
        parts = [torch.empty_like(own) for _ in sizes]
        dist.all_gather(parts, own, group=self.group)
        return [_bytes(part[:size]) for part, size in zip(parts, sizes, strict=True)]

    def _broadcast(self, value: bytes) -> bytes:
        device = self._device
        length = torch.tensor([len(value)], device=device)
        dist.broadcast(length, group=self.group, group_src=0)
        data = self._tensor(value) if self.first else torch.empty(int(length), dtype=torch.uint8, device=device)
        if len(data):
            dist.broadcast(data, group=self.group, group_src=0)
        return _bytes(data)

    def _tensor(self, value: bytes) -> Tensor:
        data = torch.frombuffer(bytearray(value), dtype=torch.uint8) if value else torch.zeros(0, dtype=torch.uint8)
        return data.to(self._device)

    @property
    def _device(self) -> torch.device:
        if dist.get_backend(self.group) == "nccl":
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("cpu")


def lost(who: str, reason: object) -> ConnectionError:
    """The error of those that are left when a rank has ended."""
    line = (str(reason).splitlines() or [type(reason).__name__])[0]
    return ConnectionError(
        f"{who} has ended or does not answer ({line:.160}); expected all ranks to go on: start them again, and what "
        "was written to a folder goes on from its last checkpoint"
    )


def _error(status: bytes, where: str = "") -> Exception:
    name, _, text = status.decode().partition("\n")
    return _ERRORS.get(name, RuntimeError)(where + text)


def _bytes(value: Tensor) -> bytes:
    return value.cpu().numpy().tobytes()


__all__ = ["Ranks", "lost"]
