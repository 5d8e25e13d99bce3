"""Which of two near places are joined? Splits, negatives that are as near as vessels are long, and plain scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ranvier._checks import count
from ranvier.recordings.vessels.graph import VesselGraph

Array = NDArray[np.float64]
Pairs = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LinkSplit:
    """graph: of the vessels to learn from alone. For each of train, validation and test: pairs (k, 2) of which the
    first half are joined in the whole graph, the others are not in any part of it; `truth` says which.
    Returned by `split_links`.
    """

    graph: VesselGraph
    train: Pairs
    validation: Pairs
    test: Pairs

    @staticmethod
    def truth(pairs: Pairs) -> NDArray[np.bool_]:
        """Which are joined, (k,)."""
        return np.arange(len(pairs)) < len(pairs) // 2


def split_links(
    graph: VesselGraph, *, shares: tuple[float, float] = (0.1, 0.1), spatial: bool = True, seed: int = 0
) -> LinkSplit:
    """Vessels to learn from, and to validate and test on (`shares`), with as many pairs that are no vessels.

    spatial: negatives are drawn among pairs no further apart than the mean and two deviations of a vessel's straight
    length; otherwise among all pairs, of which the distance alone tells. Raises ValueError for shares that leave
    nothing.

    >>> graph = rv.recordings.vessels.draw_vessels(100)
    >>> split = rv.recordings.vessels.split_links(graph)
    >>> joined = {tuple(sorted(pair)) for pair in graph.ends.tolist()}
    >>> [tuple(sorted(pair)) in joined for pair in split.test.tolist()] == split.truth(split.test).tolist()
    True
    """
    if not (min(shares) > 0 and sum(shares) < 1):
        raise ValueError(f"shares are {shares}; expected two above 0 that leave something to learn from")
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(graph.ends))
    first, second = (round(len(order) * s) for s in (shares[1], sum(shares)))
    parts = {"test": order[:first], "validation": order[first:second], "train": np.sort(order[second:])}
    if min(map(len, parts.values())) == 0:
        raise ValueError(f"the graph has {len(order)} vessels; expected enough for {shares} of them")
    wrong = negatives(graph, len(order), spatial=spatial, seed=seed)
    learned = parts["train"]
    known = VesselGraph(graph.positions, graph.ends[learned], graph.radius[learned], graph.length[learned])
    pairs, at = {}, 0
    for name, rows in parts.items():
        pairs[name] = np.concatenate([graph.ends[rows], wrong[at : at + len(rows)]])
        at += len(rows)
    return LinkSplit(known, pairs["train"], pairs["validation"], pairs["test"])


def negatives(graph: VesselGraph, number: int, *, spatial: bool = True, seed: int = 0) -> Pairs:
    """Pairs (number, 2) that are no vessels, each once, in random order; fewer where fewer are near.

    >>> graph = rv.recordings.vessels.VesselGraph.build([[0, 0, 0], [1, 0, 0], [2, 0, 0]], [[0, 1], [1, 2]])
    >>> rv.recordings.vessels.negatives(graph, 1, spatial=False).tolist()  # the only pair without a vessel
    [[0, 2]]
    """
    from scipy.spatial import cKDTree

    count(number, "number", 1)
    rng = np.random.default_rng(seed)
    n = len(graph)
    key = graph.ends[:, 0] * n + graph.ends[:, 1]
    straight = np.linalg.norm(graph.positions[graph.ends[:, 0]] - graph.positions[graph.ends[:, 1]], axis=1)
    reach = float(straight.mean() + 2 * straight.std())
    tree = cKDTree(graph.positions)
    result = np.empty(0, np.int64)
    for _ in range(50):
        if spatial:
            centre = rng.integers(0, n, max(64, number // 4))
            balls = tree.query_ball_point(graph.positions[centre], reach)
            sizes = np.array([len(b) for b in balls])
            pairs = np.stack([np.repeat(centre, sizes), np.concatenate([np.asarray(b) for b in balls])], 1)
        else:
            pairs = rng.integers(0, n, (2 * number, 2))
        pairs = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], 1)
        new = np.setdiff1d(pairs[:, 0] * n + pairs[:, 1], key)
        result = np.union1d(result, new)
        if len(result) >= number:
            break
    chosen = rng.permutation(result)[:number]
    return np.stack([chosen // n, chosen % n], 1)


def heuristics(graph: VesselGraph, pairs: Pairs) -> dict[str, Array]:
    """Scores of pairs (k, 2), larger for likelier vessels: "distance" (negative), "degree" (of both ends together,
    negative), "common" neighbours, "adamic_adar" and "preferential".

    >>> graph = rv.recordings.vessels.VesselGraph.build([[0, 0, 0], [1, 0, 0], [2, 0, 0]], [[0, 1], [1, 2]])
    >>> scores = rv.recordings.vessels.heuristics(graph, np.array([[0, 2]]))
    >>> scores["distance"].tolist(), scores["common"].tolist()
    ([-2.0], [1.0])
    """
    i, j = pairs.T
    a = graph.adjacency()
    degree = graph.degree
    weight = a.multiply(1 / np.log(np.maximum(degree, 2)))  # of a column's place
    shared, adamic = (np.asarray(m.tocsr()[i].multiply(a[j]).sum(1)).ravel() for m in (a, weight))
    return {
        "distance": -np.linalg.norm(graph.positions[i] - graph.positions[j], axis=1),
        "degree": -(degree[i] + degree[j]).astype(float), "common": shared, "adamic_adar": adamic,
        "preferential": (degree[i] * degree[j]).astype(float),
    }  # fmt: skip


def link_auc(score: Array, pairs: Pairs) -> float:
    """Area under the curve of a score of a split's pairs: 0.5 by chance.

    >>> pairs = np.array([[0, 1], [1, 2], [0, 2], [0, 3]])  # the first half are joined
    >>> float(rv.recordings.vessels.link_auc(np.array([4.0, 3.0, 2.0, 1.0]), pairs))
    1.0
    """
    from scipy.stats import rankdata

    truth = LinkSplit.truth(pairs)
    rank = rankdata(score)
    n, m = int(truth.sum()), int((~truth).sum())
    return float((rank[truth].sum() - n * (n + 1) / 2) / (n * m))


__all__ = ["LinkSplit", "heuristics", "link_auc", "negatives", "split_links"]
