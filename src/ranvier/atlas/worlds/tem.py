"""The Tolman-Eichenbaum machine and its transformer form: one structure in many environments, known at first sight."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ranvier.analysis.spatial import gridness, rate_maps, spatial_information
from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, Size, canvas, dataset, register
from ranvier.atlas.worlds._baselines import accuracies, along_a_path, trained
from ranvier.worlds import GridWorld, HebbianMemory, TEMTransformer, attend

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: side of the graph, steps of a walk, batch, updates, units of a position
SIZES = {"small": (4, 30, 16, 140, 32), "full": (4, 40, 16, 1000, 64)}
LARGE = (10, 150, 16, 2500, 64)
TEM_UPDATES = 2000


def measure(
    seed: int, size: Size, positions: str = "recurrent", rivals: bool = True, softmax: bool = False, remap: bool = True,
    updates: int = TEM_UPDATES, learned: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """Accuracies on new edges to known places of new environments, and what single cells do.

    positions: what TEM-t's keys and queries are, recurrent or fixed. rivals: whether the others are an LSTM and fixed
    codes; else TEM-t itself. softmax: whether retrieval is compared with attention by a softmax. remap: whether the
    second environment is another one; else the first. updates: of TEM itself. learned: whether the cells are those of
    the trained model; else of one that has not learned.
    """
    settings = *SIZES[size], seed
    side, steps = settings[:2]
    model, course = trained(positions, *settings)
    fresh = torch.Generator().manual_seed(seed + 77)
    walk = GridWorld(side, side).walk(steps, 200, generator=fresh)
    own = accuracies(model, walk)
    others = {}
    for kind in ("lstm", "fixed"):
        rival = trained(kind if rivals else positions, *settings)[0]
        others[kind] = accuracies(rival, walk)["inferred"]
    path = dataset("paths/sargolini.npz")
    result: dict[str, Any] = {
        "inferred": own["inferred"],
        "visited": own["visited"],
        "over_lstm": own["inferred"] - others["lstm"],
        "over_fixed": own["inferred"] - others["fixed"],
        "retrieval_error": retrieval_error(seed, softmax),
        **remapping(model if learned else TEMTransformer(size=settings[4], seed=seed), side, seed, remap),
        **dict.fromkeys(("tem_inferred", "large_inferred", "large_rat", "speed_up", "grid_share", "square_share")),
        "rat_inferred": None,
        "courses": {"TEM-t": course},
        "model": model,
        "side": side,
    }
    if path is not None:
        rat = along_a_path(GridWorld(side, side), np.load(path)["pos"], steps, seed)
        result["rat_inferred"] = accuracies(model, rat)["inferred"]
    if size == "full":
        result |= full_size(result, positions, updates, seed, path)
    return result


def full_size(result: dict[str, Any], positions: str, updates: int, seed: int, path: Any) -> dict[str, Any]:
    """TEM itself, a larger graph, and grid cells in it."""
    tem, course = trained("tem", 4, 25, 32, updates, 64, seed)
    walk = GridWorld(4, 4).walk(25, 200, generator=torch.Generator().manual_seed(seed + 77))
    large, large_course = trained(positions, *LARGE, seed)
    world = GridWorld(LARGE[0], LARGE[0])
    far = world.walk(LARGE[1], 100, generator=torch.Generator().manual_seed(seed + 78))
    courses = result["courses"]["TEM-t"], course
    reached = [next((seconds for seconds, share in c if share >= 0.9), float("inf")) for c in courses]
    maps, scores = position_maps(large, LARGE[0], seed), {}
    untrained = position_maps(TEMTransformer(size=LARGE[4], seed=seed + 1), LARGE[0], seed)
    for fold in (6, 4):
        chance = np.nanpercentile([gridness(m, fold=fold) for m in untrained], 95)
        scores[fold] = float(np.mean([gridness(m, fold=fold) > chance for m in maps]))
    rat = None if path is None else accuracies(large, along_a_path(world, np.load(path)["pos"], LARGE[1], seed))
    return {
        "tem_inferred": accuracies(tem, walk)["inferred"],
        "speed_up": min(1e3, reached[1] / reached[0]) if np.isfinite(reached[0]) else 0.0,
        "large_inferred": accuracies(large, far)["inferred"],
        "large_rat": None if rat is None else rat["inferred"],
        "grid_share": scores[6],
        "square_share": scores[4],
        "courses": result["courses"] | {"TEM": course, "TEM-t, 10 × 10": large_course},
        "maps": maps,
    }


def retrieval_error(seed: int, softmax: bool) -> float:
    """The greatest difference of a product with the Hebbian matrix and attention to what made it, in float64."""
    random = torch.Generator().manual_seed(seed)
    memory = HebbianMemory()
    for _ in range(30):
        memory = memory.store(*torch.randn(2, 4, 60, generator=random, dtype=torch.float64).unbind(0))
    query = torch.randn(4, 60, generator=random, dtype=torch.float64)
    keys, values = memory.pairs()
    if softmax:
        attended = (torch.softmax(query[:, None] @ keys.transpose(1, 2), 2) @ values)[:, 0]
    else:
        attended = attend(query, keys, values)
    return float((attended - (query[:, None] @ memory.matrix())[:, 0]).abs().max())


def remapping(model: Any, side: int, seed: int, remap: bool, slots: int = 15, steps: int = 25) -> dict[str, Any]:
    """Maps of memory neurons, attention to each of the first `slots` steps of walks that share these and then part.

    In two halves of the walks, and in another environment; their spatial information; and the length of a
    place's mean position over all ways there: 1 if it is the same by all of them.
    """
    world, generator, shape = GridWorld(side, side), torch.Generator().manual_seed(seed + 5), (side, side)
    maps, lengths, occupancy = [], [], np.ones(shape, int)
    for _ in range(2):
        first = world.walk(slots + 1, 1, generator=generator)
        later = world.walk(steps, 400, start=first.places[-1].expand(400), generator=generator)
        actions = torch.cat([first.actions[:-1].expand(-1, 400), later.actions])
        with torch.no_grad():
            activity = model.attention(actions).numpy()[slots:, :, :slots]
            codes = model.positions(actions).numpy()[slots:]
        where = later.places.numpy()
        maps.append([rate_maps(where[:, h].ravel(), activity[:, h].reshape(-1, slots), shape)
                     for h in (slice(0, 200), slice(200, 400))])  # fmt: skip
        mean = rate_maps(where.ravel(), codes.reshape(-1, codes.shape[2]), shape).reshape(codes.shape[2], -1)
        lengths.append(np.nanmean(np.linalg.norm(mean, axis=0)))
        occupancy = np.bincount(where[:, :200].ravel(), minlength=side * side).reshape(shape)
    within = correlation(maps[0][0], maps[0][1])
    return {
        "place_information": float(np.median(spatial_information(np.nan_to_num(maps[1][0]), occupancy))),
        "remapping": within - correlation(maps[0][0], maps[1][0] if remap else maps[0][1]),
        "consistency": float(np.mean(lengths)),
        "memory_maps": [part[0] for part in maps],
    }


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """The median over cells of the correlation of two maps, where both were measured."""
    values = []
    for a, b in zip(one.reshape(len(one), -1), other.reshape(len(other), -1), strict=True):
        both = np.isfinite(a) & np.isfinite(b)
        if np.ptp(a[both]) > 0 and np.ptp(b[both]) > 0:
            values.append(np.corrcoef(a[both], b[both])[0, 1])
    return float(np.median(values))


def position_maps(model: Any, side: int, seed: int) -> np.ndarray:
    """Mean positions (units, side, side) along a long walk."""
    walk = GridWorld(side, side).walk(40 * side * side, 1, generator=torch.Generator().manual_seed(seed + 6))
    with torch.no_grad():
        codes = model.positions(walk.actions)[:, 0].numpy()
    return rate_maps(walk.places[:, 0].numpy(), codes, (side, side))


def learning(material: dict[str, Any]) -> Figure:
    """Accuracy on new edges against time."""
    figure, axis = canvas(4.5, 2.8)
    for (name, course), colour in zip(material["courses"].items(), COLOURS, strict=False):
        axis.plot(*np.array(course).T, ".-", color=colour, label=name)
    axis.set(xlabel="time of one core (s)", ylabel="right on new edges", ylim=(0, 1.02), xscale="log")
    axis.legend()
    return figure


def cells(material: dict[str, Any]) -> Figure:
    """Maps of memory neurons in two environments, and of positions."""
    figure, axes = canvas(7, 3, 3, 8)
    positions = material.get("maps")
    if positions is None:
        positions = position_maps(material["model"], material["side"], 0)
    for row, maps in zip(axes, (*material["memory_maps"], positions), strict=True):
        for axis, image in zip(row, maps, strict=False):
            axis.imshow(image, cmap="viridis")
            axis.set(xticks=[], yticks=[])
    for axis, name in zip(axes[:, 0], ("memory, world 1", "memory, world 2", "positions"), strict=True):
        axis.set_ylabel(name, rotation=0, ha="right", va="center")
    return figure


TEM_PAPER, T_PAPER = "Whittington et al. (2020), Cell 183", "Whittington, Warren & Behrens (2022), ICLR"

register(
    Experiment(
        name="tem",
        title="The Tolman-Eichenbaum machine as a transformer",
        paper="J. C. R. Whittington, J. Warren and T. E. J. Behrens (2022). Relating transformers to models and neural "
        "representations of the hippocampal formation. ICLR 2022.",
        summary="On graphs of 4 × 4 places every environment has stimuli of its own and the structure of all. TEM-t "
        "learns positions that follow from actions; it then knows what lies behind an edge it never took, if it has "
        "been there by another way. Its memory neurons have fields that change from environment to environment; its "
        "positions do not. The transitions are rotations here, free matrices in the paper; positions of the 10 × 10 "
        "graph are then no hexagonal grids (2 of 64 units beyond chance), which refutes that claim at full size.",
        claims=(
            Claim(
                "In new environments, TEM-t is right on new edges to known places.",
                T_PAPER, "inferred", AtLeast(0.9), 0.0, "a bound", {"positions": "fixed"},
            ),
            Claim(
                "An LSTM trained as long is not.",
                TEM_PAPER, "over_lstm", AtLeast(0.5), 0.0, "a bound", {"rivals": False},
            ),
            Claim(
                "Nor is attention with fixed position codes.",
                T_PAPER, "over_fixed", AtLeast(0.5), 0.0, "a bound", {"rivals": False},
            ),
            Claim(
                "It is right along a rat's path, which it was not trained on.",
                "the project's own, on the path of Sargolini et al. (2006)", "rat_inferred", AtLeast(0.9), 0.0,
                "a bound", {"positions": "fixed"},
                only="the rat's path",
            ),
            Claim(
                "Retrieval from TEM's Hebbian memory is dot-product attention without a softmax.",
                T_PAPER, "retrieval_error", AtMost(1e-10), 0.0, "rounding of float64", {"softmax": True},
            ),
            Claim(
                "Memory neurons tell of the place, as place cells do.",
                T_PAPER, "place_information", AtLeast(2.0), 0.0, "a bound, in bits, of log2(16) = 4",
                {"positions": "fixed"}, "bit",
            ),
            Claim(
                "Their fields are stable within an environment and remap at random between two.",
                T_PAPER, "remapping", AtLeast(0.8), 0.0, "a bound on a difference of correlations", {"remap": False},
            ),
            Claim(
                "A position follows from the place, whatever the way there, in every environment.",
                TEM_PAPER, "consistency", AtLeast(0.8), 0.0, "a bound on the length of a mean of unit vectors",
                {"learned": False},
            ),
            Claim(
                "TEM infers, too.",
                TEM_PAPER, "tem_inferred", AtLeast(0.8), 0.0, "a bound", {"updates": 10},
                only="full size",
            ),
            Claim(
                "TEM-t learns it in less time than TEM.",
                T_PAPER, "speed_up", AtLeast(2.0), 0.0, "a bound", {"positions": "fixed"},
                only="full size",
            ),
            Claim(
                "It scales to 10 × 10 places.",
                T_PAPER, "large_inferred", AtLeast(0.9), 0.0, "a bound", {"positions": "fixed"},
                only="full size",
            ),
            Claim(
                "There it is right along the rat's path.",
                "the project's own, on the path of Sargolini et al. (2006)", "large_rat", AtLeast(0.9), 0.0, "a bound",
                {"positions": "fixed"},
                only="the rat's path at full size",
            ),
            Claim(
                "Some of its positions are grid cells: hexagonal beyond the 95th percentile of untrained ones.",
                T_PAPER, "grid_share", AtLeast(0.15), 0.0, "three times chance", {"positions": "fixed"},
                only="full size",
            ),
        ),
        measure=measure,
        pictures={
            "What is right on edges never taken, during training.": learning,
            "Fields of memory neurons in two environments, and of positions.": cells,
        },
    )
)  # fmt: skip
