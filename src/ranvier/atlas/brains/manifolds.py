"""Grid cells on a torus, head-direction cells on a ring, awake and asleep: topology from activity alone."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.analysis import manifolds
from ranvier.analysis.decoding import circular_error, permutation_score
from ranvier.atlas import COLOURS, AtMost, Claim, Experiment, canvas, dataset, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

BIN, SPACING, CELLS = 100.0, 0.4, 100  # ms; m; grid cells of one module
MARGIN = 1.3  # a feature counts if it lives so much longer than the longest of a few shuffled recordings


def measure(seed: int, size: Size, shuffled: bool = False, states: bool = True) -> dict[str, Any]:
    """Betti numbers of a grid module on a rat's path and of recorded head-direction cells; the angle along their ring.

    shuffled: each cell's activity rotated by its own random time. states: whether time is in order in the ring's
    calibration; without it the angles come from other moments.
    """
    points, shuffles, width = {"small": (400, 2, 23.0), "full": (1200, 20, 12.0)}[size]
    counts = module(seed)
    grid = analyse(_turn(counts, seed) if shuffled else counts, seed, 6, points, 2, width, shuffles)
    rat = dataset("paths/sargolini.npz") is not None
    result: dict[str, Any] = {"torus_betti": digits_of(betti(grid)), "torus": grid, "rat": rat}
    result["torus_error"], result["torus_bound"] = along_torus(grid, seed, states)
    for state in ("Qrun", "Qrem", "Qsws"):
        recording = head_direction(state)
        name = {"Qrun": "awake", "Qrem": "rem", "Qsws": "slow_wave"}[state]
        if recording is None:
            result[f"{name}_betti"] = None
            continue
        x, angle = recording
        ring = analyse(_turn(x, seed) if shuffled else x, seed, 3, 300, 1, 1.0, 4 * shuffles)
        result |= {f"{name}_betti": digits_of(betti(ring)), name: ring}
        if state == "Qrun":
            result["ring_error"], result["ring_bound"], result["angles"] = along_ring(ring, angle, seed, states)
    result.setdefault("ring_error", None)
    result.setdefault("ring_bound", None)
    return result


def analyse(
    x: np.ndarray, seed: int, axes: int, points: int, dimensions: int, width: float, shuffles: int
) -> dict[str, Any]:
    """Smoothed roots of counts, normalised, quiet times left out, to `axes` components, to `points` of them, to
    homology; and the thresholds of shuffled recordings (Gardner et al. 2022)."""

    def pipeline(counts: np.ndarray) -> dict[str, Any]:
        moving = counts.sum(1) > np.quantile(counts.sum(1), 0.2)
        z = counts[moving]
        z = (z - z.mean(0)) / z.std(0)
        place = manifolds.principal_components(z, axes).project(z)
        chosen = manifolds.downsample(place, points, neighbours=20)
        d = manifolds.fuzzy_distances(place[chosen], neighbours=max(50, points // 8))
        limit = float(np.quantile(d, width / 100.0)) if dimensions > 1 else None
        homology = manifolds.persistence(d, dimensions=dimensions, limit=limit)
        return {"homology": homology, "place": place, "chosen": chosen, "moving": moving}

    result = pipeline(x)
    longest = manifolds.shuffle_threshold(x, lambda y: pipeline(y)["homology"], shuffles=shuffles, seed=seed + 1)
    longest[0] = longest[1]  # a separate piece lives as long as a loop would have to
    return {**result, "threshold": MARGIN * longest}


def betti(result: dict[str, Any]) -> tuple[int, ...]:
    """Numbers of pieces, loops and voids that outlive the shuffled ones, up to the largest gap."""
    return result["homology"].betti(result["threshold"], gap=True)


def digits_of(numbers: tuple[int, ...]) -> int:
    """(1, 2, 1) as 121."""
    return int("".join(str(min(n, 9)) for n in numbers))


@lru_cache(maxsize=1)
def walk(seed: int) -> np.ndarray:
    """The path of a rat, (bins, 2) in m; without the data, a random one in the same box."""
    rng = np.random.default_rng(seed)
    file = dataset("paths/sargolini.npz")
    if file is not None:
        path = np.load(file)
        t = np.arange(path["t"][0], path["t"][-1], BIN / 1000)
        place = np.column_stack([np.interp(t, path["t"], path["pos"][:, k]) for k in (0, 1)])
    else:
        heading = np.cumsum(rng.normal(0, 0.3, 9000))
        steps = 0.3 * BIN / 1000 * np.column_stack([np.cos(heading), np.sin(heading)])
        place = 1 - np.abs((0.5 + steps.cumsum(0)) % 2 - 1)  # reflected at the walls
    return place


def grid_waves() -> np.ndarray:
    """Wave vectors (3, 2) of the module's hexagonal grid, 1/m; the third is the second less the first."""
    turns = 0.2 + np.pi / 3 * np.arange(3)
    return 4 * np.pi / np.sqrt(3) / SPACING * np.column_stack([np.cos(turns), np.sin(turns)])


@lru_cache(maxsize=1)
def module(seed: int) -> np.ndarray:
    """Smoothed roots of the spike counts of one module of grid cells, (bins, cells), along the path."""
    from scipy.ndimage import gaussian_filter1d

    rng, place, waves = np.random.default_rng(seed), walk(seed), grid_waves()
    phase = rng.random((CELLS, 2)) @ (2 * np.pi * np.linalg.inv(waves[:2])).T @ waves.T
    height = np.cos((place @ waves.T)[:, None] - phase).mean(2)
    counts = rng.poisson(20 * np.exp(1.5 * (height - 1)) * BIN / 1000)
    return gaussian_filter1d(np.sqrt(counts), 1.5, axis=0)


@lru_cache(maxsize=3)
def head_direction(state: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Smoothed (200 ms) roots of counts of the recorded cells every 200 ms, and the head's angle; None without data."""
    from scipy.ndimage import gaussian_filter1d

    from ranvier.recordings import read_session

    file = dataset("cortex/head_direction.mat")
    if file is None:
        return None
    behaviour = {"angle": ("angRun", 1)} if state == "Qrun" else []
    session = read_session(file, counts=state, bin=10.0, behaviour=behaviour)
    table = np.asarray(session.binned(10.0).values, float)[:97_600]  # as long as REM sleep
    x = np.sqrt(gaussian_filter1d(table, 20, axis=0)[::20])
    angle = session.signal("angle").read()[:97_600:20] if state == "Qrun" else np.full(len(x), np.nan)
    return x, angle


def along_torus(grid: dict[str, Any], seed: int, states: bool) -> tuple[float, float]:
    """Median error in degrees, in the second half, of the phases of the grid's waves, read from the coordinates along
    the two longest loops: each as the sum of small whole multiples of both, and a shift, that fit the first half best;
    and what chance allows."""
    theta = [manifolds.circular_coordinates(grid["homology"], which=k) for k in (0, 1)]
    landmarks = grid["place"][grid["chosen"]]
    one, two = (manifolds.extend_angles(t, landmarks, grid["place"]) for t in theta)
    phases = (walk(seed) @ grid_waves().T)[grid["moving"]]
    rng = np.random.default_rng(seed + 3)
    phases = phases if states else np.roll(phases, rng.integers(len(phases) // 4, len(phases) // 2), 0)
    half = len(one) // 2
    read = []
    for phase in phases[:half].T:
        sums = [a * one + b * two for a in range(-2, 3) for b in range(-2, 3) if a or b]
        means = [np.exp(1j * (phase - s[:half])).mean() for s in sums]
        best = int(np.argmax(np.abs(means)))
        read.append(sums[best][half:] + np.angle(means[best]))
    score = permutation_score(
        lambda y: float(np.mean([circular_error(r, p) for r, p in zip(read, y.T, strict=True)])), phases[half:],
        shift=True, permutations=20, greater=False,
    )  # fmt: skip
    return float(np.degrees(score.value)), float(np.degrees(score.chance - 5 * score.spread))


def along_ring(
    ring: dict[str, Any], angle: np.ndarray, seed: int, states: bool
) -> tuple[float, float, tuple[np.ndarray, np.ndarray]]:
    """Median error in degrees, in the second half, of the coordinate along the loop, after its scale was read off the
    first half; what chance allows; and the decoded and true angles."""
    rng = np.random.default_rng(seed)
    theta = manifolds.circular_coordinates(ring["homology"])
    landmarks = ring["place"][ring["chosen"]]
    decoded = manifolds.extend_angles(theta, landmarks, ring["place"])
    actual = angle[ring["moving"]]
    if not states:
        actual = np.roll(actual, rng.integers(len(actual) // 4, len(actual) // 2))
    half = len(actual) // 2
    places = (decoded / (2 * np.pi) * 24).astype(int) % 24
    mean = np.array([np.exp(1j * actual[:half][places[:half] == k]).sum() for k in range(24)])
    scale = np.angle(mean + np.roll(mean, 1) + np.roll(mean, -1))
    read = scale[places[half:]]
    score = permutation_score(lambda y: circular_error(read, y), actual[half:], shift=True, permutations=50,
                              greater=False)  # fmt: skip
    bound = float(np.degrees(score.chance - 5 * score.spread))
    return float(np.degrees(score.value)), bound, (read % (2 * np.pi), actual[half:])


def _turn(x: np.ndarray, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed + 2)
    return np.column_stack([np.roll(column, rng.integers(1, len(x))) for column in x.T])


def barcodes(material: dict[str, Any]) -> Figure:
    """Lifetimes of the longest features, and the thresholds of shuffled recordings."""
    names = [name for name in ("torus", "awake", "rem", "slow_wave") if name in material]
    figure, axes = canvas(9, 2.8, 1, max(2, len(names)))
    for axis, name in zip(axes[0], names):
        homology, limits = material[name]["homology"], material[name]["threshold"]
        row = 0
        for d in range(len(homology.diagrams)):
            births, deaths = homology.diagrams[d].T
            deaths = np.minimum(deaths, homology.limit)
            for k in np.argsort(births - deaths)[:8]:
                axis.hlines(row, births[k], deaths[k], color=COLOURS[d], lw=2)
                row += 1
            axis.plot([0, limits[d]], [row - 0.4] * 2, color=COLOURS[5], lw=1)
            row += 1
        axis.set(title=name.replace("_", " "), xlabel="distance", yticks=[])
    return figure


def ring_angles(material: dict[str, Any]) -> Figure:
    """The head's angle against the coordinate along the ring."""
    figure, axis = canvas(3.4, 3.2)
    if "angles" in material:
        axis.plot(*(np.degrees(a) for a in material["angles"][::-1]), ".", ms=1.5, color=COLOURS[0])
    axis.set(xlabel="head direction (°)", ylabel="along the ring (°)", xlim=(0, 360), ylim=(0, 360))
    return figure


GARDNER, PEYRACHE = "Gardner et al. (2022), figure 2", "Peyrache et al. (2015); Chaudhuri et al. (2019), figure 2"
SHUFFLED = {"shuffled": True}
CHANCE = "chance less five deviations of it, by turning the true values round by random times; 90° in the mean"
register(
    Experiment(
        name="manifolds",
        title="Manifolds: grid cells on a torus, head direction on a ring",
        paper="R. J. Gardner, E. Hermansen, M. Pachitariu, Y. Burak, N. A. Baas, B. A. Dunn, M.-B. Moser and "
        "E. I. Moser (2022). Toroidal topology of population activity in grid cells. Nature 602:123–128.",
        doi="10.1038/s41586-021-04268-7",
        summary="Activity alone, without behaviour, is reduced to components and to a few hundred points, whose loops "
        "and voids are counted against shuffled recordings. A simulated grid module on a rat's path (a random path "
        "without the data) has a torus's; recorded head-direction cells a ring's, awake and in REM sleep, and none in "
        "slow-wave sleep.",
        claims=(
            Claim("A grid module has one piece, two loops, one void: it is a torus.", GARDNER, "torus_betti", 121, 0,
                  "whole numbers, as digits", SHUFFLED),
            Claim("Head-direction cells, awake, have one piece and one loop.", PEYRACHE, "awake_betti", 11, 0,
                  "whole numbers, as digits", SHUFFLED, only="recorded cells"),
            Claim("They have one piece and one loop in REM sleep.", PEYRACHE, "rem_betti", 11, 0,
                  "whole numbers, as digits", SHUFFLED, only="recorded cells"),
            Claim(
                "The place along the ring tells the head's direction, in the half it was not calibrated on.", PEYRACHE,
                "ring_error", AtMost(0.0), "ring_bound", CHANCE, {"states": False}, "degrees",
                only="recorded cells",
            ),
            Claim(
                "Places along the torus tell the phases of the grid, in the half they were not calibrated on.", GARDNER,
                "torus_error", AtMost(0.0), "torus_bound", CHANCE, {"states": False}, "degrees",
            ),
        ),
        measure=measure,
        pictures={
            "Lifetimes of pieces, loops and voids; thin: thresholds.": barcodes,
            "Head direction along the ring.": ring_angles,
        },
    )
)  # fmt: skip
