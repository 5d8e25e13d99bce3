"""An HDF5 file from stdin as JSON and plain bytes on stdout, or one at a path, only checked: a separate program, which
imports nothing of ranvier's.

python apart.py LARGEST ALWAYS RATIO [PATH]

The C library may run for ever, or crash, on a file that is damaged on purpose; here it does so within limits of time
and memory, in a process that holds nothing else.
"""

import io
import json
import os
import sys
from collections.abc import Iterable
from typing import Any

DEPTH, OBJECTS = 40, 100_000
FILTERS = {1, 2, 3, 32000}  # deflate, shuffle, Fletcher's checksum, LZF: all others load code, or know no bound
KINDS = "biuf"


class Refusal(ValueError):
    """What the parent says of the file."""


def main() -> None:
    largest, always, ratio = (int(x) for x in sys.argv[1:4])
    path = sys.argv[4] if len(sys.argv) > 4 else None
    data = sys.stdin.buffer.read() if path is None else b""
    try:
        import h5py

        size = len(data) if path is None else os.stat(path).st_size
        limit_resources(size, largest, 1 if path is None else 5)
        if path is not None:
            check(h5py, path, max(always, ratio * size), always)
            return answer({"sound": True}, [])
        tree, pieces = read(h5py, data, min(largest, max(always, ratio * len(data))))
    except Refusal as refusal:
        return answer({"refused": str(refusal)}, [])
    except RecursionError:
        return answer({"refused": "it is nested too deeply"}, [])
    except MemoryError:
        return answer({"refused": "it needs more memory than its size justifies"}, [])
    except Exception as error:  # h5py fails in as many ways as its library
        return answer({"refused": f"HDF5's library says: {error.args[0] if error.args else 'nothing'}"}, [])
    return answer({"tree": tree}, pieces)


def limit_resources(size: int, largest: int, least: int) -> None:
    """Seconds of computing, and one more for every 64 MiB of file, and memory for what may be unpacked."""
    try:
        import resource
    except ImportError:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime + 0.5) + least + size // 2**26
    for what, limit in ((resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, 4 * largest), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(what)[1]
        if hard == resource.RLIM_INFINITY or limit < hard:
            resource.setrlimit(what, (limit, hard))


def read(h5py: Any, data: bytes, room: int) -> tuple[dict[str, Any], list[bytes]]:
    """(tree of groups, with leaves as {"dtype", "shape"} or {"text"}, and the arrays' bytes in their order)."""
    pieces: list[bytes] = []
    known: set[tuple[int, int]] = set()
    remaining = [room]

    def walk(group: Any, path: str, depth: int) -> dict[str, Any]:
        if depth > DEPTH:
            raise Refusal(f"the group {path} is nested more than {DEPTH} deep; expected less")
        out: dict[str, Any] = {}
        for name in group:
            here = f"{path}/{name}"
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise Refusal(f"{here!r:.200} is a {type(link).__name__}, which leads elsewhere; expected plain data")
            thing = group[name]
            info = h5py.h5o.get_info(thing.id)
            if (info.fileno, info.addr) in known:
                raise Refusal(f"{here!r:.200} is reached in two ways; expected a tree")
            known.add((info.fileno, info.addr))
            if len(known) > OBJECTS:
                raise Refusal(f"it holds more than {OBJECTS} objects; expected fewer")
            if isinstance(thing, h5py.Group):
                out[name] = walk(thing, here, depth + 1)
            elif isinstance(thing, h5py.Dataset):
                out[name] = leaf(thing, here)
            else:
                raise Refusal(f"{here!r:.200} is no group and no data; expected one of them")
        return out

    def leaf(dataset: Any, path: str) -> dict[str, Any]:
        kind = dataset.dtype
        require_plain(dataset, path)
        if kind.kind == "c":
            raise Refusal(f"{path!r:.200} holds complex numbers, {kind}; expected real ones")
        text = h5py.check_string_dtype(kind)
        if text is None and kind.kind not in KINDS:
            raise Refusal(f"{path!r:.200} holds {kind}; expected numbers or text")
        if dataset.shape is None:
            raise Refusal(f"{path!r:.200} is empty; expected values")
        remaining[0] -= max(1, dataset.size) * max(1, kind.itemsize)
        chunk = kind.itemsize
        for n in dataset.chunks or ():
            chunk *= n
        if remaining[0] < 0 or chunk > room:
            raise Refusal(
                f"{path!r:.200} of shape {dataset.shape} unpacks to far more than the file holds; expected values "
                "that are in it"
            )
        if text is not None:
            values = dataset.asstr("utf-8", "strict")[()]
            return {"text": values if isinstance(values, str) else values.tolist()}
        values = dataset[()]
        values = values.astype(values.dtype.newbyteorder("="), copy=False)
        pieces.append(values.tobytes())
        return {"dtype": values.dtype.str, "shape": list(values.shape)}

    with h5py.File(io.BytesIO(data), "r") as file:
        return walk(file, "", 0), pieces


def require_plain(dataset: Any, path: str) -> None:
    """Refuse values that lie in other files, and filters that load code or know no bound."""
    if dataset.is_virtual or dataset.external:
        raise Refusal(f"{path!r:.200} keeps its values in other files; expected them in this one")
    creation = dataset.id.get_create_plist()
    used = {creation.get_filter(k)[0] for k in range(creation.get_nfilters())}
    if not used <= FILTERS:
        raise Refusal(f"{path!r:.200} is packed by the filter {min(used - FILTERS)}; expected deflate or LZF")


def check(h5py: Any, path: str, room: int, sample: int) -> None:
    """Go through all objects, their attributes, and `sample` bytes of values; refuse what leads elsewhere and what
    unpacks to more than `room`. A library that crashes at a file does so here."""
    known: set[tuple[int, int]] = set()
    promised, remaining = [0], [sample]

    def walk(group: Any, at: str, depth: int) -> None:
        if depth > DEPTH:
            raise Refusal(f"the group {at} is nested more than {DEPTH} deep; expected less")
        for name in group:
            here = f"{at}/{name}"
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise Refusal(f"{here!r:.200} is a link to another file; expected data in this one")
            if not isinstance(link, h5py.HardLink):
                continue
            thing = group[name]
            info = h5py.h5o.get_info(thing.id)
            if (info.fileno, info.addr) in known:
                continue
            known.add((info.fileno, info.addr))
            if len(known) > OBJECTS:
                raise Refusal(f"it holds more than {OBJECTS} objects; expected fewer")
            attributes(thing)
            if isinstance(thing, h5py.Group):
                walk(thing, here, depth + 1)
            elif isinstance(thing, h5py.Dataset):
                values(thing, here)

    def attributes(thing: Any) -> None:
        for key in thing.attrs:
            try:
                thing.attrs[key]
            except TypeError:  # of a type that NumPy has not
                continue

    def values(dataset: Any, at: str) -> None:
        require_plain(dataset, at)
        if dataset.shape is None:
            return
        size, chunk = dataset.size * max(1, dataset.dtype.itemsize), dataset.dtype.itemsize
        promised[0] += size
        for n in dataset.chunks or ():
            chunk *= n
        if promised[0] > room or chunk > room:
            raise Refusal(
                f"{at!r:.200} of shape {dataset.shape} unpacks to far more than the file holds; expected values "
                "that are in it"
            )
        if size <= remaining[0]:
            remaining[0] -= size
            dataset[()]
        elif dataset.shape and dataset.shape[0] and size // dataset.shape[0] <= remaining[0]:
            remaining[0] -= size // dataset.shape[0]
            dataset[-1]

    with h5py.File(path, "r") as file:
        attributes(file)
        walk(file, "", 0)


def answer(head: dict[str, Any], pieces: Iterable[bytes]) -> None:
    out = sys.stdout.buffer
    text = json.dumps(head).encode()
    out.write(len(text).to_bytes(8, "little") + text)
    for piece in pieces:
        out.write(piece)
    out.flush()


if __name__ == "__main__":
    main()
