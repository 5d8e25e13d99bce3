"""Which neurons excite and which inhibit, as a user says it: by class or by name, as text or in a file."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ranvier.files.reading import read_text

if TYPE_CHECKING:
    from numpy.typing import NDArray


GLUTAMATE = frozenset(("glutamate", "glut", "glu"))
WORDS = {"-1": -1, "−1": -1, "-": -1, "inhibitory": -1, "+1": 1, "1": 1, "+": 1, "excitatory": 1, "0": 0}


def read_signs(text: str) -> dict[str, int]:
    """Signs from "LNs=-1, APL=-1", or from a file of lines "class,sign" (comma, tab or space).

    Raises FileNotFoundError or ValueError, saying what was found and what is expected.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.brains.read_signs("LNs=-1, APL=-1")
    {'LNs': -1, 'APL': -1}
    """
    if "=" in text:
        pairs = [part.rpartition("=")[::2] for part in text.split(",") if part.strip()]
        return {name.strip(): _sign(value, f"--signs {text!r}") for name, value in pairs}
    path = Path(text)
    try:
        lines = read_text(path, "lines 'class,sign', or --signs 'class=-1,...'").splitlines()
    except FileNotFoundError:
        raise FileNotFoundError(
            f"--signs is {text!r:.200}: there is no such file; expected one of lines 'class,sign', or 'class=-1,...'"
        ) from None
    signs: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not (line := line.strip()) or line.startswith("#"):
            continue
        separator = "," if "," in line else "\t" if "\t" in line else None
        name, middle, value = line.rpartition(separator) if separator else _last_word(line)
        if number == 1 and value.strip().lower() in ("sign", "signs"):
            continue
        if not middle:
            raise ValueError(f"{path}, line {number}: the value is {line!r}; expected 'class,sign'")
        signs[name.strip()] = _sign(value, f"{path}, line {number}")
    if not signs:
        raise ValueError(f"{path} holds no signs; expected lines 'class,sign'")
    return signs


def signs_of(
    names: Sequence[str],
    classes: Sequence[str] | None,
    signs: Mapping[str, int],
    transmitters: Sequence[str] | None = None,
) -> NDArray[np.float64]:
    """(neurons,) 1, −1 or 0 (without effect): the name's sign if given, else its class's or transmitter's, else 1.

    Raises ValueError for a key that is none of them.
    """
    labels = classes or ("",) * len(names)
    transmitters = spelt_as(transmitters or ("",) * len(names), signs)
    known = set(names) | set(labels) | set(transmitters)
    for key in signs:
        if key not in known:
            near = difflib.get_close_matches(key, [*dict.fromkeys(labels), *names], n=1, cutoff=0.5)
            listed = ", ".join(list(dict.fromkeys(labels))[:20])
            none = "a neuron, as this wiring has no classes, which --nodes gives"
            raise ValueError(
                f"--signs names {key!r}, which is neither a class nor a neuron nor a transmitter; expected "
                + (f"one of the classes {listed}" if classes else none)
                + (f": did you mean {near[0]!r}?" if near else "")
            )
    rows = zip(names, labels, transmitters, strict=True)
    return np.array([signs.get(n, signs.get(c, signs.get(t, 1))) for n, c, t in rows], dtype=np.float64)


def spelt_as(transmitters: Sequence[str], signs: Mapping[str, int]) -> list[str]:
    """The transmitters as the keys of `signs` spell them: in lower or upper case, glutamate by any of its names."""
    spelt: dict[str, str] = {}
    for key in signs:
        words = GLUTAMATE if key.lower() in GLUTAMATE else {key.lower()}
        spelt |= dict.fromkeys(words, key)
    return [spelt.get(t.lower(), t) for t in transmitters]


def _sign(value: str, where: str) -> int:
    word = value.strip().lower()
    if word not in WORDS:
        raise ValueError(f"{where}: the sign is {value.strip()!r}; expected -1, 1 or 0")
    return WORDS[word]


def _last_word(line: str) -> tuple[str, str, str]:
    words = line.rsplit(None, 1)
    return (words[0], " ", words[1]) if len(words) == 2 else (line, "", "")
