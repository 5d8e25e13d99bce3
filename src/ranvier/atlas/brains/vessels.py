"""Vessel graphs: which near places are joined, and how wide a vessel is, in a graph like a brain's."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, canvas, register
from ranvier.recordings.vessels import (
    VesselGraph,
    classify_vessels,
    draw_vessels,
    heuristics,
    link_auc,
    predict_links,
    predict_links_seal,
    split_links,
)
from ranvier.recordings.vessels.models import Kind

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size


def measure(
    seed: int, size: Size, spatial: bool = True, random: bool = True, network: Kind = "sage", degree: float = 3.02,
    plain: tuple[str, ...] = ("mlp", "gcn", "gat", "sage"),
) -> dict[str, Any]:
    """Areas under the curve of held-out links against negatives, and accuracies of classes.

    spatial: whether negatives are as near as vessels are long, in what is compared; random: whether those that they are
    compared with are not. network: what is to beat the MLP on the line graph. degree: of the drawn graph. plain: the
    networks that are not to beat distance.
    """
    places, epochs = {"small": (2000, 8), "full": (30_000, 40)}[size]
    graph = drawn(places, degree, seed)
    far = split_links(graph, spatial=not random, seed=seed)
    scores = link_scores(graph, spatial, epochs, seed)
    right = np.stack([classes(graph, kind, seed) for kind in ("mlp", network)])
    only = right[1] & ~right[0], right[0] & ~right[1]
    changed = max(1, int(only[0].sum() + only[1].sum()))
    return {
        "degree": float(graph.degree.mean()),
        "far": link_auc(heuristics(far.graph, far.test)["distance"], far.test), "near": scores["distance"],
        "seal_gain": scores["seal"] - scores["distance"],
        "plain_gain": max(scores[k] for k in plain) - scores["distance"],
        "class_gain": float((only[0].sum() - only[1].sum()) / np.sqrt(changed)),
        "class_accuracy": float(right[1].mean()), "class_accuracy_mlp": float(right[0].mean()), "scores": scores,
        "graph": graph,
    }  # fmt: skip


drawn = lru_cache(maxsize=2)(lambda places, degree, seed: draw_vessels(places, degree=degree, seed=seed))


@lru_cache(maxsize=4)  # the mutants change what is made of them
def link_scores(graph: VesselGraph, spatial: bool, epochs: int, seed: int) -> dict[str, float]:
    """Areas under the curve of every method on the links that are held out."""
    split = split_links(graph, spatial=spatial, seed=seed)
    scores = {name: link_auc(x, split.test) for name, x in heuristics(split.graph, split.test).items()}
    for kind in get_args(Kind):
        scores[kind] = link_auc(predict_links(split, kind, epochs=30, displacement=False, seed=seed), split.test)
    return scores | {"seal": link_auc(predict_links_seal(split, epochs=epochs, most=4000, seed=seed), split.test)}


@lru_cache(maxsize=4)
def classes(graph: VesselGraph, kind: Kind, seed: int) -> np.ndarray:
    """Which vessels' classes are right, of those that are tested."""
    predicted, tested = classify_vessels(graph, kind, epochs=60, seed=seed)
    return (predicted == graph.classes())[tested]


def areas(material: dict[str, Any]) -> Figure:
    """Areas under the curve by method; degrees."""
    figure, (row,) = canvas(8, 3, 1, 2)
    scores = dict(sorted(material["scores"].items(), key=lambda item: item[1]))
    row[0].barh(list(scores), list(scores.values()), color=COLOURS[0])
    row[0].axvline(0.5, color=COLOURS[5], lw=1)
    row[0].set(xlabel="area under the curve, spatial negatives", xlim=(0, 1))
    row[1].bar(*np.unique(material["graph"].degree, return_counts=True), color=COLOURS[0])
    row[1].set(xlabel="vessels at a place", ylabel="places")
    return figure


PAETZOLD = "Paetzold et al. (2021)"
register(
    Experiment(
        name="vessels",
        title="Vessel graphs: links and classes",
        paper="J. C. Paetzold et al. (2021). Whole brain vessel graphs: a dataset and benchmark for graph learning and "
        "neuroscience (VesselGraph). NeurIPS Datasets and Benchmarks.",
        doi="10.48550/arXiv.2108.13233",
        summary="A graph is drawn in space with the degrees and lengths of a brain's vessels. Against random pairs "
        "distance alone tells links; against near ones it does not, plain graph networks do worse, and SEAL, which "
        "looks at a pair's surroundings, does better. (So may the ends' degree: a place that lost a vessel to the test "
        "has one less than most, as it has in the benchmark.) On the line graph GraphSAGE classifies vessels "
        "better than a network of each vessel alone.",
        claims=(
            Claim("A place has 3.02 vessels in the mean.", PAETZOLD + "; ogbl-vessel: 3 538 495 places, 5 345 897 "
                  "vessels", "degree", 3.02, 0.01, "rounding of the paper's counts", {"degree": 2.5}),
            Claim("Against random negatives distance alone tells all links.", PAETZOLD, "far", AtLeast(0.99), 0.0,
                  "0.9999 in a larger graph", {"random": False}),
            Claim("Against spatial ones it does not.", PAETZOLD, "near", AtMost(0.9), 0.0,
                  "0.85 in a larger graph; 1 against random ones", {"spatial": False}),
            Claim("SEAL beats distance.", PAETZOLD + ": 80.7 % against plain networks' 50 to 58 %", "seal_gain",
                  AtLeast(0.04), 0.0, "two standard errors of an area of 600 pairs", {"spatial": False}),
            Claim("Plain graph networks on coordinates do not.", PAETZOLD + ": GCN 50.1 %, SAGE 56.1 %", "plain_gain",
                  AtMost(-0.04), 0.0, "two standard errors of an area of 600 pairs", {"plain": ("seal",)}),
            Claim("GraphSAGE on the line graph classifies vessels better than an MLP.", PAETZOLD, "class_gain",
                  AtLeast(2.0), 0.0, "standard errors of paired errors (McNemar)", {"network": "mlp"}),
        ),
        measure=measure,
        pictures={"Areas by method; degrees.": areas},
    )
)  # fmt: skip
