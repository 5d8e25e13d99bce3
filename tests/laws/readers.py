"""What every reader must keep; import `Case`, and give one beside each public `read_*` and `from_*`.

A reader of files gives back what a writer wrote; it refuses everything else with a ValueError or an OSError that names
the file, in about a second of computing, without a crash, without running anything, and without changing what is there.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Case:
    """`write(path)` makes a file or a folder that `read` takes, and returns what must come back by `same`.

    `part` names the file in the folder that is attacked, None where the path itself is a file. For a reader of objects
    (`from_*`) `write` returns (argument, expected), and there is nothing on disk.
    """

    name: str
    write: Callable[[Path], Any]
    same: Callable[[Any, Any], None]
    part: str | None = None
    suffix: str = ""
    objects: bool = False

    def file(self, path: Path) -> Path:
        """The file that is attacked."""
        return path if self.part is None else next(path.glob(self.part))


#: words of Python's own errors, of which a reader of a refusal can make nothing
_FOREIGN = re.compile(
    r"object is not|has no attribute|__\w+__\(\)|unexpected keyword|positional argument|unhashable"
    r"|not supported between|must be (real number|str,|an integer)|argument must be|indices must be|NoneType"
    r"|argument of type|cannot unpack|(not enough|too many) values to unpack|invalid literal for"
    r"|could not convert|index out of range|object cannot be|^'[^']*'$|<class |cannot be interpreted"
    r"|set_int_max_str_digits|can't (convert|decode)|unsupported operand|(Key|Type|Index|Attribute)Error"
)


def foreign(message: str) -> str:
    """The words of Python's own that a message holds, "" where it has none."""
    match = _FOREIGN.search(message)
    return match[0] if match else ""


def digest(path: Path) -> str:
    """Of a file, or of a folder's names and files."""
    if path.is_dir():
        inner = [f"{p.relative_to(path)}{digest(p)}" for p in sorted(path.rglob("*"))]
        return hashlib.sha256("".join(inner).encode()).hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else str(path.lstat().st_mode)


def mutations(data: bytes, count: int, seed: int = 0) -> list[bytes]:
    """Copies with bytes flipped, cut, doubled or replaced by extremes."""
    rng, out = random.Random(seed), []
    for k in range(count):
        copy = bytearray(data)
        match k % 4:
            case 0:
                del copy[rng.randrange(len(copy)) :]
            case 1:
                at = rng.randrange(len(copy))
                copy[at:at] = copy[at : at + rng.randrange(1, 64)]
            case _:
                for _ in range(rng.choice([1, 2, 8])):
                    at = rng.randrange(len(copy))
                    copy[at] = rng.choice([0, 255, copy[at] ^ (1 << rng.randrange(8)), rng.randrange(256)])
        out.append(bytes(copy))
    return out


def specials(path: Path) -> dict[str, Callable[[], None]]:
    """What may lie at a path in place of a file."""

    def sparse() -> None:
        with open(path, "wb") as file:
            file.truncate(6 * 2**30)

    def bomb() -> None:
        block = gzip.compress(b"0" * 2**24, 9)
        path.write_bytes(block * 256)  # 4 GiB in 4 MiB

    return {
        "nothing": lambda: None,
        "an empty file": lambda: path.write_bytes(b""),
        "a folder": path.mkdir,
        "a pipe": lambda: os.mkfifo(path),
        "an endless device": lambda: path.symlink_to("/dev/zero"),
        "a file of 6 GiB": sparse,
        "a gzip bomb": bomb,
        "zeros": lambda: path.write_bytes(bytes(2**20)),
        "a pickle": lambda: path.write_bytes(b"cos\nsystem\n(S'true'\ntR."),
        "text in another code": lambda: path.write_bytes("a b\nü ß\n".encode("utf-16")),
        "control characters": lambda: path.write_bytes(b"pre,post\na\x1b[31m,b\x07\n\x7f,c\n"),
        "a name of a million letters": lambda: path.write_bytes(b"pre,post\n" + b"a" * 10**6 + b",b\n"),
    }
