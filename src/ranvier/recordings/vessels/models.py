"""Graph networks in plain torch: MLP, GCN, GAT and GraphSAGE on places, SEAL on the surroundings of a pair."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ranvier._checks import count
from ranvier.recordings.vessels.graph import VesselGraph
from ranvier.recordings.vessels.links import LinkSplit, Pairs

Kind = Literal["mlp", "gcn", "gat", "sage"]
AROUND = 10  # places of a pair's surroundings, at most: its ends, and four neighbours of each


class GraphLayer(nn.Module):
    """One layer of a graph network: "mlp" takes the place alone, "gcn" the mean of it and its neighbours by
    1/√(degrees), "sage" the place and its neighbours' mean apart, "gat" neighbours by attention.

    >>> layer = rv.recordings.vessels.GraphLayer("mlp", 3, 2)
    >>> x, source, target = torch.rand(4, 3), torch.tensor([0, 1]), torch.tensor([1, 0])
    >>> torch.equal(layer(x, source, target), layer.own(x))  # neighbours do not count
    True
    """

    def __init__(self, kind: Kind, inputs: int, outputs: int) -> None:
        super().__init__()
        if kind not in ("mlp", "gcn", "gat", "sage"):
            raise ValueError(f"kind is {kind!r}; expected 'mlp', 'gcn', 'gat' or 'sage'")
        self.kind = kind
        self.own = nn.Linear(inputs, outputs)
        self.other = nn.Linear(inputs, outputs, bias=False) if kind == "sage" else None
        self.ask = nn.Linear(2 * outputs, 1) if kind == "gat" else None

    def forward(self, x: Tensor, source: Tensor, target: Tensor) -> Tensor:
        """x (n, F) and each vessel in both directions (2 m,) -> (n, outputs)."""
        n = len(x)
        if self.kind == "mlp":
            return self.own(x)
        if self.other is not None:
            total = torch.zeros_like(x).index_add_(0, target, x[source])
            number = torch.bincount(target, minlength=n).clamp_min(1)[:, None]
            return self.own(x) + self.other(total / number)
        loops = torch.arange(n)
        source, target = torch.cat([source, loops]), torch.cat([target, loops])
        h = self.own(x)
        if self.ask is not None:
            score = functional.leaky_relu(self.ask(torch.cat([h[target], h[source]], 1))[:, 0], 0.2)
            weight = torch.exp(score - score.max())
            total = torch.zeros(n).index_add_(0, target, weight)
            weight = weight / total[target].clamp_min(1e-12)
        else:
            degree = torch.bincount(target, minlength=n).to(x.dtype).rsqrt()
            weight = degree[source] * degree[target]
        return torch.zeros_like(h).index_add_(0, target, h[source] * weight[:, None])


class GraphNetwork(nn.Module):
    """Layers of one kind, with rectified units between: (n, inputs) -> (n, outputs).

    >>> model = rv.recordings.vessels.GraphNetwork("sage", 3, 2)
    >>> x, source, target = torch.rand(4, 3), torch.tensor([0, 1]), torch.tensor([1, 0])
    >>> before = model(x, source, target)
    >>> x[0] = 0.0  # reaches its neighbour 1, not 2 and 3
    >>> torch.equal(model(x, source, target)[2:], before[2:]), torch.equal(model(x, source, target)[1], before[1])
    (True, False)
    """

    def __init__(self, kind: Kind, inputs: int, outputs: int, *, width: int = 32, layers: int = 2) -> None:
        super().__init__()
        widths = [inputs] + [width] * (count(layers, "layers", 1) - 1) + [outputs]
        self.layers = nn.ModuleList(GraphLayer(kind, a, b) for a, b in pairwise(widths))

    def forward(self, x: Tensor, source: Tensor, target: Tensor) -> Tensor:
        """Of each place."""
        for k, layer in enumerate(self.layers):
            x = layer(x if k == 0 else torch.relu(x), source, target)
        return x


def directed(graph: VesselGraph) -> tuple[Tensor, Tensor]:
    """Sources and targets of each vessel in both directions, (2 m,)."""
    i, j = torch.from_numpy(graph.ends.T.copy())
    return torch.cat([i, j]), torch.cat([j, i])


def predict_links(
    split: LinkSplit, kind: Kind = "sage", *, displacement: bool = True, epochs: int = 60, width: int = 32,
    rate: float = 0.01, seed: int = 0,
) -> NDArray[np.float64]:  # fmt: skip
    """Scores of the test's pairs by a graph network, with the validation's best epoch.

    Each place has its position and degree; a pair is scored from the product of its ends' codes and, by
    `displacement`, their distance. A train pair's own vessel lies in the graph that codes it, as in the benchmark, so
    that what the network learns of degrees does not hold for held-out pairs: SEAL takes it out.

    >>> split = rv.recordings.vessels.split_links(rv.recordings.vessels.draw_vessels(60))
    >>> scores = rv.recordings.vessels.predict_links(split, epochs=2, width=4)
    >>> len(scores) == len(split.test), bool(np.isfinite(scores).all())
    (True, True)
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        graph = split.graph
        x = torch.from_numpy(np.column_stack([_scaled(graph.positions), graph.degree])).float()
        source, target = directed(graph)
        net = GraphNetwork(kind, x.shape[1], width, width=width)
        head = nn.Sequential(nn.Linear(width + displacement, width), nn.ReLU(), nn.Linear(width, 1))
        scale = float(graph.length.mean())

        def score(pairs: Pairs) -> Tensor:
            h = net(x, source, target)
            i, j = torch.from_numpy(pairs.T.copy())
            parts = [h[i] * h[j]]
            if displacement:
                away = np.linalg.norm(graph.positions[pairs[:, 0]] - graph.positions[pairs[:, 1]], axis=1) / scale
                parts.append(torch.from_numpy(away).float()[:, None])
            return head(torch.cat(parts, 1))[:, 0]

        return _fitted(nn.ModuleList([net, head]), score, split, epochs, rate)


def predict_links_seal(
    split: LinkSplit, *, displacement: bool = True, epochs: int = 30, width: int = 32, batch: int = 256,
    rate: float = 5e-3, most: int = 20_000, seed: int = 0,
) -> NDArray[np.float64]:  # fmt: skip
    """Scores of the test's pairs by SEAL (Zhang & Chen 2018): from the pair's surroundings, its ends and their
    neighbours, without the vessel between them.

    Each place has its label, by its distance to both ends within the surroundings, its degree outside the pair's own
    vessel, and, by `displacement`, its place relative to the middle, along the pair: distance from the middle and
    along the pair. Two layers of mean aggregation, pooled by sum and maximum. most: of the train's pairs, drawn.

    >>> split = rv.recordings.vessels.split_links(rv.recordings.vessels.draw_vessels(60))
    >>> scores = rv.recordings.vessels.predict_links_seal(split, epochs=1, width=4)
    >>> len(scores) == len(split.test), bool(np.isfinite(scores).all())
    (True, True)
    """
    rng = np.random.default_rng(seed)
    pairs = split.train
    if len(pairs) > most:
        half = len(pairs) // 2
        pairs = pairs[np.concatenate([rng.permutation(half)[: most // 2], half + rng.permutation(half)[: most // 2]])]
    split = LinkSplit(split.graph, pairs, split.validation, split.test)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = _Surroundings(5 + 1 + 3 * displacement, width)
        parts = (split.train, split.validation, split.test)
        table = {id(p): _surroundings(split.graph, p, displacement) for p in parts}

        def score(chosen: Pairs, rows: Tensor | None = None) -> Tensor:
            x, a, there = table[id(chosen)]
            return net(x, a, there) if rows is None else net(x[rows], a[rows], there[rows])

        return _fitted(net, score, split, epochs, rate, batch)


class _Surroundings(nn.Module):
    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Linear(2 * n, width) for n in (inputs, width))
        self.head = nn.Sequential(nn.Linear(4 * width, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, x: Tensor, a: Tensor, there: Tensor) -> Tensor:
        """x (B, AROUND, F), a (B, AROUND, AROUND) by rows of sum 1 or 0, there (B, AROUND) -> (B,)."""
        h1 = torch.relu(self.first(torch.cat([x, a @ x], 2))) * there[..., None]
        h2 = torch.relu(self.second(torch.cat([h1, a @ h1], 2))) * there[..., None]
        h = torch.cat([h1, h2], 2)
        return self.head(torch.cat([h.sum(1), h.amax(1)], 1))[:, 0]


def _surroundings(graph: VesselGraph, pairs: Pairs, displacement: bool) -> tuple[Tensor, Tensor, Tensor]:
    order = np.argsort(graph.ends.ravel(), kind="stable")
    partner = graph.ends[:, ::-1].ravel()[order]
    start = np.cumsum(np.r_[0, graph.degree])
    k = len(pairs)
    member = np.full((k, AROUND), -1, np.int64)
    member[:, :2] = pairs
    for side in (0, 1):
        end, other = pairs[:, side], pairs[:, 1 - side]
        for turn in range((AROUND - 2) // 2):
            inside = start[end] + turn < start[end + 1]
            place = np.where(inside, partner[np.minimum(start[end] + turn, max(0, len(partner) - 1))], -1)
            place[place == other] = -1  # the pair's own vessel is not known
            place[(member == place[:, None]).any(1)] = -1  # a neighbour of both stands once
            member[:, 2 + side * ((AROUND - 2) // 2) + turn] = place
    there = member >= 0
    keys = np.sort(graph.ends[:, 0] * len(graph) + graph.ends[:, 1])
    low, high = (f(member[:, :, None], member[:, None]) for f in (np.minimum, np.maximum))
    key = low * len(graph) + high
    at = np.minimum(np.searchsorted(keys, key), len(keys) - 1)
    a = (keys[at] == key) & there[:, :, None] & there[:, None]
    own = (keys[np.minimum(np.searchsorted(keys, key[:, 0, 1]), len(keys) - 1)] == key[:, 0, 1])
    a[:, 0, 1] = a[:, 1, 0] = False
    label = np.zeros((k, AROUND, 5))
    label[:, 0, 0] = label[:, 1, 0] = 1  # the ends
    to_first, to_second = a[:, 0], a[:, 1]
    label[..., 1], label[..., 2] = to_first & to_second, to_first ^ to_second
    degree = np.where(there, graph.degree[np.maximum(member, 0)], 0).astype(float)
    degree[:, :2] -= own[:, None]
    label[..., 3], label[..., 4] = degree == 1, degree >= 4
    parts = [label, degree[..., None] / 3]
    if displacement:
        x = graph.positions[np.maximum(member, 0)]
        x = (x - x[:, :2].mean(1, keepdims=True)) / graph.length.mean()
        along = x[:, 1] - x[:, 0]
        away = np.linalg.norm(along, axis=1, keepdims=True)
        along = along / np.maximum(away, 1e-12)
        parts.append(np.stack([np.linalg.norm(x, axis=2), np.abs((x * along[:, None]).sum(2)),
                               np.broadcast_to(away, (k, AROUND))], 2))  # fmt: skip
    features = np.concatenate(parts, 2) * there[..., None]
    mean = a / np.maximum(a.sum(2, keepdims=True), 1)
    return torch.from_numpy(features).float(), torch.from_numpy(mean).float(), torch.from_numpy(there).float()


def classify_vessels(
    graph: VesselGraph, kind: Kind = "sage", *, share: float = 0.3, epochs: int = 80, width: int = 32,
    rate: float = 0.01, seed: int = 0,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:  # fmt: skip
    """Classes of vessels by radius, as nodes of the line graph, from length, straightness, direction and degrees alone:
    predicted (m,), and which were tested (m,). `share` of them are learned from; their radii are no input.

    >>> graph = rv.recordings.vessels.draw_vessels(60)
    >>> predicted, tested = rv.recordings.vessels.classify_vessels(graph, epochs=2, width=4)
    >>> len(predicted) == len(graph.ends), round(float(tested.mean()), 1)  # three of ten are learned from
    (True, 0.7)
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        rng = np.random.default_rng(seed)
        line = graph.line_graph()
        span = graph.positions[graph.ends[:, 1]] - graph.positions[graph.ends[:, 0]]
        straight = np.linalg.norm(span, axis=1)
        columns = [np.log(graph.length), straight / graph.length, *(np.abs(span).T / np.maximum(straight, 1e-9)),
                   *graph.degree[graph.ends].T]  # fmt: skip
        x = torch.from_numpy(_scaled(np.stack(columns, 1))).float()
        y = torch.from_numpy(graph.classes())
        train = torch.from_numpy(rng.random(len(y)) < share)
        source, target = directed(line)
        net = GraphNetwork(kind, x.shape[1], int(y.max()) + 1, width=width, layers=3)
        optimizer = torch.optim.Adam(net.parameters(), rate)
        for _ in range(count(epochs, "epochs", 1)):
            optimizer.zero_grad()
            functional.cross_entropy(net(x, source, target)[train], y[train]).backward()
            optimizer.step()
        with torch.no_grad():
            return net(x, source, target).argmax(1).numpy(), ~train.numpy()


def _fitted(
    model: nn.Module, score: Any, split: LinkSplit, epochs: int, rate: float, batch: int | None = None
) -> NDArray[np.float64]:
    from ranvier.recordings.vessels.links import link_auc

    optimizer = torch.optim.Adam(model.parameters(), rate)
    truth = torch.from_numpy(LinkSplit.truth(split.train)).float()
    best, result = -1.0, np.zeros(len(split.test))
    for epoch in range(count(epochs, "epochs", 1)):
        rows = [None] if batch is None else torch.randperm(len(truth)).split(batch)
        for part in rows:
            optimizer.zero_grad()
            y = truth if part is None else truth[part]
            logits = score(split.train) if part is None else score(split.train, part)
            functional.binary_cross_entropy_with_logits(logits, y).backward()
            optimizer.step()
        if epoch % 5 == 4 or epoch == epochs - 1:
            with torch.no_grad():
                value = link_auc(score(split.validation).double().numpy(), split.validation)
                if value > best:
                    best, result = value, score(split.test).double().numpy()
    return result


def _scaled(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return (x - x.mean(0)) / np.maximum(x.std(0), 1e-12)


__all__ = ["GraphLayer", "GraphNetwork", "Kind", "classify_vessels", "directed", "predict_links", "predict_links_seal"]
