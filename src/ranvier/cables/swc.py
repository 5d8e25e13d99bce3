"""SWC files (Cannon et al. 1998, J. Neurosci. Methods 84:49): one sample a line, id type x y z radius parent."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ranvier.cables.morphology import Morphology, frustum_area
from ranvier.files.reading import read_text

_LINE = "a line of SWC: id type x y z radius parent"
_REGIONS = {0: "undefined", 1: "soma", 2: "axon", 3: "dendrite", 4: "apical"}
_SOMA = 1
#: um: no cell is larger or finer, and squares and sums of such numbers are finite
_SMALLEST, _LARGEST = 1e-6, 1e9


@dataclass(frozen=True)
class _Sample:
    line: int
    kind: int
    at: tuple[float, float, float]
    radius: float
    parent: int


def read_swc(path: str | Path) -> Morphology:
    """The morphology in an SWC file, gzipped or not; coordinates and radii in um.

    Types 1 to 4 are the regions "soma", "axon", "dendrite" and "apical", 0 is "undefined", any other k "type_k". The
    soma becomes one isopotential root: a sphere of its one sample; of the three of NeuroMorpho (the second and the
    third one radius from the first, on opposite sides) a cylinder as long as wide, which has the same area, 4πr²; of
    a chain of samples the sum of its frusta. A neurite at the soma begins at its own first sample (at the soma's where
    it has one only). Samples at the place of the one before are left out.

    Raises
    ------
    ValueError
        for a line that is none of SWC, an id twice or below 0, a parent that is not in the file, a cycle, no root or
        several, a radius outside 1e-6 to 1e9 um or a place beyond 1e9 um, a soma that branches or lies in several
        places; the line is named.
    OSError
        where the file cannot be read.

    Examples
    --------
    >>> from pathlib import Path
    >>> from ranvier.cables import read_swc
    >>> lines = ["1 1 0 0 0 5 -1", "2 3 5 0 0 1 1", "3 3 55 0 0 1 2", "4 3 55 30 0 .5 3", "5 3 55 -30 0 .5 3"]
    >>> _ = Path("neuron.swc").write_text("\\n".join(lines))
    >>> read_swc("neuron.swc")
    Morphology(3 branches, regions soma, dendrite)
    """
    samples = _read(path)
    children: dict[int, list[int]] = defaultdict(list)
    for name, sample in samples.items():
        if sample.parent != -1:
            children[sample.parent].append(name)
    root = _root(samples, children, path)
    out = _soma(samples, children, root, path)
    for first, start in _neurites(samples, children, root):
        _grow(out, samples, children, first, start)
    return out


def _read(path: str | Path) -> dict[int, _Sample]:
    samples: dict[int, _Sample] = {}
    for number, text in enumerate(read_text(path, _LINE).splitlines(), 1):
        words = text.partition("#")[0].split()
        if not words:
            continue
        what = f"line {number} of {path}"
        try:
            if any("_" in word for word in words[:7]):
                raise ValueError  # 1_0, which Python reads as 10
            name, kind, parent = int(words[0]), int(words[1]), int(words[6])
            x, y, z, radius = map(float, words[2:6])
        except (IndexError, ValueError):
            raise ValueError(f"{what} is {text.strip()!r:.60}; expected {_LINE}") from None
        if name < 0 or kind < 0:
            raise ValueError(f"{what} has the id {name} and the type {kind}; expected whole numbers from 0")
        if name in samples:
            raise ValueError(
                f"{what} has the id {name}, as line {samples[name].line} does; expected an id once: renumber them"
            )
        if not all(abs(place) <= _LARGEST for place in (x, y, z)):
            raise ValueError(f"{what} has the place ({x}, {y}, {z}); expected numbers up to {_LARGEST:g} (um)")
        if not _SMALLEST <= radius <= _LARGEST:
            raise ValueError(
                f"{what} has the radius {radius:g}; expected {_SMALLEST:g} to {_LARGEST:g} um: measure it, or leave "
                "out the sample"
            )
        samples[name] = _Sample(number, kind, (x, y, z), radius, parent if parent >= 0 else -1)
    if not samples:
        raise ValueError(f"{path} holds no sample; expected {_LINE}")
    for sample in samples.values():
        if sample.parent != -1 and sample.parent not in samples:
            raise ValueError(
                f"line {sample.line} of {path} has the parent {sample.parent}, which is no id of the file; expected "
                "one of them, or -1 for the root"
            )
    return samples


def _root(samples: dict[int, _Sample], children: dict[int, list[int]], path: str | Path) -> int:
    roots = [name for name, sample in samples.items() if sample.parent == -1]
    if len(roots) > 1:
        raise ValueError(
            f"{path} has {len(roots)} roots, the ids {', '.join(map(str, roots[:5]))}; expected one sample with the "
            "parent -1: join them, or write one file for each"
        )
    reached, waiting = set(), list(roots)
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting += children[name]
    if left := [name for name in samples if name not in reached]:
        raise ValueError(
            f"line {samples[left[0]].line} of {path} belongs to a cycle of parents, or hangs on one; expected every "
            "sample to come from the one root, whose parent is -1"
        )
    return roots[0]


def _soma(samples: dict[int, _Sample], children: dict[int, list[int]], root: int, path: str | Path) -> Morphology:
    own = [name for name, sample in samples.items() if sample.kind == _SOMA]
    if not own:
        return Morphology()
    for name in own:
        parent = samples[name].parent
        if name != root and samples[parent].kind != _SOMA:
            raise ValueError(
                f"line {samples[name].line} of {path} is of the soma (type 1) and its parent {parent} is not; expected "
                "one soma, which begins at the root"
            )
    inner = {name: [c for c in children[name] if samples[c].kind == _SOMA] for name in own}
    radius = samples[root].radius
    if len(own) == 1:
        return Morphology.with_soma_area(4 * math.pi * radius**2)
    if len(own) == 3 and len(inner[root]) == 2:
        first, second = (tuple(a - b for a, b in zip(samples[c].at, samples[root].at)) for c in inner[root])
        apart = math.dist(first, second)
        if all(abs(math.hypot(*v) - radius) <= 0.05 * radius for v in (first, second)) and apart >= 1.9 * radius:
            return Morphology.with_soma_area(4 * math.pi * radius**2)
    for name in own:
        if len(inner[name]) > 1:
            raise ValueError(
                f"line {samples[name].line} of {path} is of the soma, which branches there into "
                f"{len(inner[name])} samples of type 1; expected one sample, the three of NeuroMorpho, or a chain: "
                "give the soma by one sample of the same area"
            )
    pairs = [(samples[name], samples[c]) for name in own for c in inner[name]]
    area = float(sum(frustum_area(math.dist(a.at, b.at), a.radius, b.radius) for a, b in pairs))
    if area == 0.0:
        raise ValueError(f"the soma of {path} has no area; expected samples at different places, or one alone")
    return Morphology.with_soma_area(area)


def _neurites(samples: dict[int, _Sample], children: dict[int, list[int]], root: int) -> Iterator[tuple[int, int]]:
    """(first sample, the sample before it) of what begins at the root or at the soma."""
    if samples[root].kind != _SOMA:
        yield from ((child, root) for child in children[root])
        return
    for name, sample in samples.items():
        if sample.kind == _SOMA:
            yield from ((child, name) for child in children[name] if samples[child].kind != _SOMA)


def _grow(
    out: Morphology, samples: dict[int, _Sample], children: dict[int, list[int]], first: int, start: int
) -> None:
    """The branches of one neurite; a new one where it branches, and where the type changes."""
    waiting: list[tuple[int, int, int | None]] = [(first, start, None)]
    while waiting:
        name, before, after = waiting.pop()
        kind = samples[name].kind
        if samples[before].kind == _SOMA:
            # a neurite begins at its surface; one of a single sample would otherwise have no length
            at, radii = [0.0], [samples[name].radius]
            place = samples[before].at if not children[name] else samples[name].at
        else:
            at, radii = [0.0], [samples[before].radius if samples[before].kind == kind else samples[name].radius]
            place = samples[before].at
        while True:
            gap = math.dist(place, samples[name].at)
            if gap > 0:
                at.append(at[-1] + gap)
                radii.append(samples[name].radius)
            place = samples[name].at
            following = children[name]
            if len(following) != 1 or samples[following[0]].kind != kind:
                break
            name = following[0]
        if len(at) > 1:
            after = out.add_samples(at, radii, after=after, region=_REGIONS.get(kind, f"type_{kind}"))
        waiting += [(child, name, after) for child in reversed(children[name])]


__all__ = ["read_swc"]
