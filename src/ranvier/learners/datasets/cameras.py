"""Files of event cameras: AEDAT 2.0 and 3.1 (iniVation), EVT 2.0 and 3.0 (Prophesee)."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ranvier.files.reading import read_bytes
from ranvier.learners.datasets.events import Recording, as_events, sensor_size

Words = NDArray[np.int64]
_PACKET = np.dtype([("type", "<u2"), ("source", "<u2"), *((n, "<u4") for n in ("size", "place", "overflow", "capacity",
                                                                                "number", "valid"))])  # fmt: skip
_POLARITY, _POLARITY_SIZE = 1, 8
_MOST_OVERFLOWS = 1 << 20
_EVT3_WIDTH = {4: 12, 5: 8}  # pixels of a vector, by its type


def read_aedat(path: str | Path, *, size: tuple[int, int] = (128, 128)) -> Recording:
    """The events of an AEDAT file: 2.0 of a DVS128 (CIFAR10-DVS), or the polarity events of 3.1 (DVS128 Gesture).

    In 2.0 an event is a big-endian address (bit 0 polarity, 0 on; bits 1 to 7 x from the right; bits 8 to 14 y, whose 0
    is the lowest row, in 3.1 the highest) and a time in µs. In 3.1 packets of little-endian events have a header of 28
    bytes; events that are marked invalid, those of 2.0 with bit 15 or 31 (pulses at the input), and packets of other
    kinds, are left out. Events come sorted by time, from 0 on at the first.

    size : (height, width) of the sensor. Raises FileNotFoundError, or ValueError for another format or version, a file
    that ends within an event, addresses of another camera, and events beyond the sensor.

    >>> import struct
    >>> from pathlib import Path
    >>> _ = Path("a.aedat").write_bytes(b"#!AER-DAT2.0\\r\\n" + struct.pack(">II", 5 << 8 | 3 << 1, 77))
    >>> rv.learners.read_aedat("a.aedat")[0].item()  # x is 127 − 3
    (124, 5, 0, 1)
    """
    size = sensor_size(size)
    data = read_bytes(path, "an AEDAT file")
    version = re.match(rb"#!AER-DAT(\d)\.(\d)\r?\n", data)
    if version is None or version.groups() not in ((b"2", b"0"), (b"3", b"1")):
        raise ValueError(f"{path} begins with {data[:16]!r}; expected #!AER-DAT2.0 or #!AER-DAT3.1")
    old = version[1] == b"2"
    start = _after_lines(data, b"#", None if old else b"#!END-HEADER")
    columns = _aedat2(data, start, path) if old else _aedat3(data, start, path)
    return _recording(columns, size, path)


def _after_lines(data: bytes, mark: bytes, last: bytes | None = None) -> int:
    """Where lines that begin with `mark` end; `last`: this one's end."""
    at = 0
    while data[at : at + 1] == mark:
        end = data.find(b"\n", at)
        if end < 0:
            break
        line, at = data[at:end], end + 1
        if last is not None and line.strip() == last:
            break
    return at


def _aedat2(data: bytes, start: int, path: str | Path) -> tuple[Words, ...]:
    if (len(data) - start) % 8:
        raise ValueError(f"{path} has {len(data) - start} bytes of events; expected a multiple of 8")
    address, time = np.frombuffer(data, ">u4", offset=start).reshape(-1, 2).T.astype(np.int64)
    if len(wide := address[address & 0x7FFF0000 != 0]):
        raise ValueError(f"{path} has the address {wide[0]:#x}; expected 16 bits: the camera is no DVS128")
    own = address & 0x80008000 == 0
    address, time = address[own], _unwrapped(time, 32)[own]
    return 127 - (address >> 1 & 0x7F), address >> 8 & 0x7F, time, 1 - (address & 1)


def _unwrapped(time: Words, bits: int) -> Words:
    """Times of a counter of so many bits that begins anew: each is the nearest one to that before."""
    steps = np.diff(time, prepend=time[:1])
    return np.cumsum((steps + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)) + time[:1]


def _aedat3(data: bytes, start: int, path: str | Path) -> tuple[Words, ...]:
    pieces, at = [np.zeros((0, 2), np.int64)], start
    while at < len(data):
        if at + _PACKET.itemsize > len(data):
            raise ValueError(f"{path} ends within the header of a packet at byte {at}; expected 28 bytes")
        head = np.frombuffer(data, _PACKET, 1, at)[0]
        at += _PACKET.itemsize
        number, width = int(head["number"]), int(head["size"])
        if number * width > len(data) - at:
            raise ValueError(f"{path} promises {number} events of {width} bytes at byte {at}; expected a whole file")
        if head["type"] == _POLARITY and number:
            if width != _POLARITY_SIZE:
                raise ValueError(f"{path} has polarity events of {width} bytes at byte {at}; expected 8")
            words = np.frombuffer(data, "<u4", 2 * number, at).reshape(-1, 2).astype(np.int64)
            if head["overflow"] > _MOST_OVERFLOWS:
                raise ValueError(
                    f"{path} counts {head['overflow']} overflows of its clock at byte {at}; expected at most "
                    f"{_MOST_OVERFLOWS}, 71 years"
                )
            words[:, 1] += int(head["overflow"]) << 31
            pieces.append(words[words[:, 0] & 1 == 1])
        at += number * width
    word, time = np.concatenate(pieces).T
    return word >> 17 & 0x7FFF, word >> 2 & 0x7FFF, time, word >> 1 & 1


def read_evt(path: str | Path, *, size: tuple[int, int] | None = None) -> Recording:
    """The change events of a Prophesee .raw file, EVT 2.0 or 3.0; triggers and others are left out.

    Words of 32 (2.0) or 16 bits (3.0), little-endian, after lines that begin with "%" and say the format ("% evt 3.0"
    or "% format EVT3;height=720;width=1280"). Events before the first time are left out; they come sorted by time, from
    0 on at the first.

    size : (height, width) of the sensor; None: the header's. Raises FileNotFoundError, or ValueError for another
    format, a file that ends within a word, and events beyond the sensor.

    >>> import struct
    >>> from pathlib import Path
    >>> head = b"% evt 2.0\\n% geometry 640x480\\n% end\\n"
    >>> words = [0x8 << 28 | 5, 0x1 << 28 | 3 << 22 | 40 << 11 | 30]  # time 5·64, then on at 3 later, x 40, y 30
    >>> _ = Path("a.raw").write_bytes(head + struct.pack("<2I", *words))
    >>> rv.learners.read_evt("a.raw")[0].item()
    (40, 30, 0, 1)
    """
    size = None if size is None else sensor_size(size)
    data = read_bytes(path, "a Prophesee recording (.raw)")
    start = _after_lines(data, b"%", b"% end")
    head = data[:start].decode("latin-1").lower()
    version = re.search(r"%\s*(?:evt\s+(\d)\.\d|format\s+evt(\d))", head)
    number = (version[1] or version[2]) if version else None
    if number not in ("2", "3"):
        raise ValueError(f"{path} begins with {data[:40]!r}; expected a header with '% evt 2.0' or '% evt 3.0'")
    width = 4 if number == "2" else 2
    if (len(data) - start) % width:
        raise ValueError(f"{path} has {len(data) - start} bytes of events; expected a multiple of {width}")
    words = np.frombuffer(data, f"<u{width}", offset=start).astype(np.int64)
    columns = _evt2(words) if number == "2" else _evt3(words)
    return _recording(columns, size or _geometry(head, path), path)


def _geometry(head: str, path: str | Path) -> tuple[int, int]:
    if match := re.search(r"%\s*geometry\s+(\d{1,5})x(\d{1,5})", head):
        return int(match[2]), int(match[1])
    height, width = (re.search(rf"{name}\s*=\s*(\d{{1,5}})", head) for name in ("height", "width"))
    if height is None or width is None:
        raise ValueError(f"{path} says nothing of the sensor's size; expected it: give size=(height, width)")
    return int(height[1]), int(width[1])


def _evt2(words: Words) -> tuple[Words, ...]:
    kind = words >> 28
    begins = kind == 8
    highs = np.zeros_like(words)
    highs[begins] = _unwrapped(words[begins] & 0xFFFFFFF, 28)  # of 34 bits with the event's own six, every 4.8 h
    own = (kind <= 1) & (np.cumsum(begins) > 0)
    high, word = _last(begins, highs), words[own]
    return word >> 11 & 0x7FF, word & 0x7FF, (high[own] << 6) + (word >> 22 & 0x3F), kind[own]


def _evt3(words: Words) -> tuple[Words, ...]:
    kind, value = words >> 12, words & 0xFFF
    y, low, high = _last(kind == 0, value & 0x7FF), _last(kind == 6, value), _last(kind == 8, value)
    falls = (kind == 8) & (np.r_[-1, high[:-1]] - high > 2048)  # of 24 bits, every 16.8 s; a small step back is none
    time = (np.cumsum(falls) << 24) + (np.maximum(high, 0) << 12) + np.maximum(low, 0)
    known = (y >= 0) & (high >= 0)
    single = (kind == 2) & known
    columns = [(value[single] & 0x7FF, y[single], time[single], value[single] >> 11)]
    width = np.select([kind == k for k in _EVT3_WIDTH], list(_EVT3_WIDTH.values()), 0)
    base, polarity = _last(kind == 3, value & 0x7FF), _last(kind == 3, value >> 11)
    passed = np.cumsum(width) - width  # pixels of vectors before each word
    since = passed - np.maximum(_last(kind == 3, passed), 0)
    for bit in range(12):
        own = (width > bit) & (value >> bit & 1 == 1) & known & (base >= 0)
        columns.append((base[own] + since[own] + bit, y[own], time[own], polarity[own]))
    return tuple(np.concatenate(column) for column in zip(*columns, strict=True))


def _last(where: NDArray[np.bool_], values: Words) -> Words:
    """At each place the value at the last place up to it where `where` holds; −1 before the first."""
    place = np.maximum.accumulate(np.where(where, np.arange(len(values)), -1)) if len(values) else values
    return np.where(place >= 0, values[np.maximum(place, 0)], -1) if len(values) else values


def _recording(columns: tuple[Words, ...], size: tuple[int, int], path: str | Path) -> Recording:
    """Checked events, sorted by time, from 0 on."""
    x, y, t, p = columns
    if not len(t):
        raise ValueError(f"{path} holds no change event; expected one at least")
    order = np.lexsort((x, y, t))
    loose = np.empty(len(t), [(name, np.int64) for name in "xytp"])
    for name, column in zip("xytp", (x, y, t - t.min(), p), strict=True):
        loose[name] = column[order]
    try:
        return as_events(loose, size)
    except ValueError as error:
        raise ValueError(f"{path} is no recording of a {size[0]} × {size[1]} sensor: {error}") from None


__all__ = ["read_aedat", "read_evt"]
