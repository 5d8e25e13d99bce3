"""Messages between ranks: over sockets where both are on one machine, which takes some 10 µs, else by gloo."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import socket
import tempfile
import threading
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from ranvier._ranks import Ranks, lost

#: numbers of a message that gloo sends at once; what is longer follows in a second message
_FIRST = 1024


class Links:
    """Connections of this rank with every other."""

    def __init__(self, ranks: Ranks, silence: float) -> None:
        self.index, self.count, self._group = ranks.index, ranks.count, ranks.group
        self._sockets = _sockets(ranks, silence)
        self._others = [r for r in range(self.count) if r != self.index and r not in self._sockets]
        self._incoming = {r: np.zeros(_FIRST, np.int32) for r in range(self.count) if r != self.index}
        self._firsts = {r: torch.zeros(_FIRST, dtype=torch.int32) for r in self._others}

    def swap(self, message: NDArray[np.int32]) -> dict[int, NDArray[np.int32]]:
        """Send a message to all ranks; theirs, by rank, good until the next call.

        message[0] is the number of its entries. Raises ConnectionError where a rank has ended or is silent.
        """
        length = int(message[0])
        works = self._send_first(message) if self._others else []
        data = message[:length].data.cast("B")
        helpers = [helper for r, s in self._sockets.items() if (helper := self._send(r, s, data))]
        out = {}
        for r, s in self._sockets.items():
            own = self._incoming[r]
            self._receive(r, s, own[:1])
            size = int(own[0])
            if size > len(own):
                own = self._incoming[r] = np.concatenate([own[:1], np.zeros(2 * size, np.int32)])
            if size > 1:
                self._receive(r, s, own[1:size])
            out[r] = own[:size]
        for helper in helpers:
            helper.join()
        if self._others:
            out |= self._receive_gloo(message, works)
        return out

    def close(self) -> None:
        """Close the sockets."""
        for s in self._sockets.values():
            s.close()

    def _send(self, rank: int, to: socket.socket, data: memoryview) -> threading.Thread | None:
        """A thread that sends what the other has no room for yet; None where all is sent."""
        try:
            sent = to.send(data)
            if sent == len(data):
                return None
        except OSError as error:
            raise self._lost(rank, error) from error
        helper = threading.Thread(target=_send_all, args=(to, data[sent:]), daemon=True)
        helper.start()
        return helper

    def _receive(self, rank: int, source: socket.socket, into: NDArray[np.int32]) -> None:
        room = into.data.cast("B")
        at = 0
        while at < len(room):
            try:
                count = source.recv_into(room[at:])
            except OSError as error:
                raise self._lost(rank, error) from error
            if count == 0:
                raise self._lost(rank, "it closed the connection")
            at += count

    def _send_first(self, message: NDArray[np.int32]) -> list[tuple[int, dist.Work, dist.Work]]:
        first = torch.zeros(_FIRST, dtype=torch.int32)
        head = torch.from_numpy(message[: min(int(message[0]), _FIRST)].copy())
        first[: len(head)] = head
        out = []
        for r in self._others:
            try:
                there = dist.isend(first, group=self._group, group_dst=r)
                here = dist.irecv(self._firsts[r], group=self._group, group_src=r)
            except RuntimeError as error:
                raise self._lost(r, error) from error
            assert there is not None and here is not None  # None for ranks outside the group alone
            out.append((r, there, here))
        return out

    def _receive_gloo(
        self, message: NDArray[np.int32], works: list[tuple[int, dist.Work, dist.Work]]
    ) -> dict[int, NDArray[np.int32]]:
        out: dict[int, NDArray[np.int32]] = {}
        more: list[tuple[int, dist.Work | None]] = []
        rest = torch.from_numpy(message[_FIRST : int(message[0])].copy())
        for r, there, here in works:
            try:
                here.wait()
                there.wait()
                size = int(self._firsts[r][0])
                own = torch.empty(max(size, _FIRST), dtype=torch.int32)
                own[:_FIRST] = self._firsts[r]
                out[r] = own.numpy()[:size]
                if len(rest):
                    more.append((r, dist.isend(rest, group=self._group, group_dst=r)))
                if size > _FIRST:
                    more.append((r, dist.irecv(own[_FIRST:], group=self._group, group_src=r)))
            except RuntimeError as error:
                raise self._lost(r, error) from error
        for r, work in more:
            try:
                if work is not None:
                    work.wait()
            except RuntimeError as error:
                raise self._lost(r, error) from error
        return out

    def _lost(self, rank: int, reason: object) -> ConnectionError:
        return lost(f"rank {rank} of {self.count}", reason)


def _send_all(to: socket.socket, data: memoryview) -> None:
    with contextlib.suppress(OSError):  # the other has ended, which receiving from it will show
        to.sendall(data)


def _sockets(ranks: Ranks, silence: float) -> dict[int, socket.socket]:
    """A connected socket for every rank that is on this machine and can be reached; collective."""
    if not hasattr(socket, "AF_UNIX") or os.environ.get("RANVIER_RANKS") == "gloo":
        machine, folder, listener = "", None, None
    else:
        machine = _machine()
        folder = Path(tempfile.mkdtemp(prefix="ranvier-"))  # nobody else can enter it
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(folder / "s"))
        listener.listen(ranks.count)
    places = [json.loads(part) for part in ranks.gather(json.dumps([machine, str(folder)]).encode())]
    out: dict[int, socket.socket] = {}
    for r, (there, path) in enumerate(places[: ranks.index]):
        if machine and there == machine:
            s = socket.socket(socket.AF_UNIX)
            try:
                s.connect(os.path.join(path, "s"))
                s.sendall(ranks.index.to_bytes(4, "little"))
                out[r] = s
            except OSError:  # another container on the same machine
                s.close()
    reached = [json.loads(part) for part in ranks.gather(json.dumps(sorted(out)).encode())]
    if listener is not None and folder is not None:
        for _ in range(sum(ranks.index in mine for mine in reached)):
            s, _ = listener.accept()
            out[int.from_bytes(s.recv(4, socket.MSG_WAITALL), "little")] = s
        listener.close()
        shutil.rmtree(folder, ignore_errors=True)
    for s in out.values():
        s.settimeout(silence)
    return dict(sorted(out.items()))


def _machine() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return platform.node()


__all__ = ["Links"]
