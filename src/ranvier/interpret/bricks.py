"""Functional parts of language models: bricks that emerge in training, and bricks that are plugged in (Xiao et al.
2024, arXiv:2409.02877)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from ranvier._checks import chance, count
from ranvier.interpret.editing import Edit
from ranvier.interpret.mlp_blocks import MLP


def predictivity(activity: Tensor, labels: Tensor) -> Tensor:
    """How well each neuron's activation tells each function's tokens from others, (neurons, functions).

    The larger of the average precisions AP(y, a) and AP(1 − y, a), so that neurons which fall silent count, too. A
    function's tokens and the others weigh as much together, so that chance is one half in both. Equal activations are
    one threshold. activity: (tokens, neurons). labels: (tokens, functions), bool. ValueError where a
    function has no token, or every one.

    >>> labels = torch.tensor([[True], [True], [False], [False]])
    >>> activity = torch.tensor([[3.0, 0.0], [2.0, 0.0], [1.0, 2.0], [0.0, 1.0]])
    >>> rv.interpret.predictivity(activity, labels)[:, 0].tolist()  # one is active for the function, one is silent
    [1.0, 1.0]
    """
    if activity.ndim != 2 or labels.ndim != 2 or len(activity) != len(labels) or labels.dtype != torch.bool:
        raise ValueError(
            f"activity is {tuple(activity.shape)} and labels {labels.dtype} {tuple(labels.shape)}; expected (tokens, "
            "neurons) and bool (tokens, functions)."
        )
    if not bool(torch.isfinite(activity).all()):
        raise ValueError("activity is not finite; expected finite activations: look where it was recorded.")
    positives = labels.sum(0)
    if bool(((positives == 0) | (positives == len(labels))).any()):
        k = int(((positives == 0) | (positives == len(labels))).nonzero()[0])
        raise ValueError(f"function {k} has {int(positives[k])} of {len(labels)} tokens; expected some, and not all.")
    truth = labels.double().numpy()
    both = np.concatenate([truth, 1 - truth], 1)
    share = truth.mean(0)
    weight = truth / share + (1 - truth) / (1 - share)
    weight = np.concatenate([weight, weight], 1)
    both, total = both * weight, (both * weight).sum(0)
    rows = []
    for a in activity.double().numpy().T:
        order = np.argsort(-a, kind="stable")
        ends = np.append(np.flatnonzero(np.diff(a[order])), len(a) - 1)
        hits = np.cumsum(both[order], 0)[ends]
        precision = hits / np.cumsum(weight[order], 0)[ends]
        rows.append((np.diff(hits, axis=0, prepend=0) * precision).sum(0) / total)
    table = np.array(rows)
    return torch.from_numpy(np.maximum(table[:, : labels.shape[1]], table[:, labels.shape[1] :]))


def functional_neurons(scores: Tensor, share: float = 0.01) -> Tensor:
    """The `share` of neurons of the highest predictivity for each function, (neurons, functions) bool.

    >>> rv.interpret.functional_neurons(torch.tensor([[0.9], [0.1], [0.5], [0.6]]), share=0.5)[:, 0].tolist()
    [True, False, False, True]
    """
    number_of = max(1, round(len(scores) * chance(share, "share")))
    order = torch.sort(scores, dim=0, descending=True, stable=True).indices[:number_of]
    return torch.zeros_like(scores, dtype=torch.bool).scatter(0, order, True)


def enrichment(members: Tensor, parts: Tensor) -> Tensor:
    """Probability that a random part of the same size holds as many of a function's neurons, (parts, functions): the
    hypergeometric upper tail. A part is enriched at p ≤ 0.001.

    members: (neurons, functions) bool. parts: (neurons,), the part of each neuron, from 0.

    >>> members = torch.tensor([True] * 3 + [False] * 7)[:, None]  # three of ten neurons
    >>> parts = torch.tensor([0] * 5 + [1] * 5)
    >>> p = rv.interpret.enrichment(members, parts)[:, 0]
    >>> [round(v, 4) for v in p.tolist()]  # all three in the first part: C(7, 2)/C(10, 5)
    [0.0833, 1.0]
    """
    from scipy.stats import hypergeom

    if parts.shape != members.shape[:1] or parts.is_floating_point() or int(parts.min()) < 0:
        raise ValueError(f"parts are {parts.dtype} {tuple(parts.shape)}; expected integers ({len(members)},).")
    sizes = torch.bincount(parts)
    inside = torch.stack([torch.bincount(parts[flags], minlength=len(sizes)) for flags in members.T], 1)
    tail = hypergeom.sf(inside.numpy() - 1, len(members), members.sum(0).numpy()[None], sizes.numpy()[:, None])
    return torch.from_numpy(np.asarray(tail))


def partition(weights: Tensor, parts: int, *, seed: int = 0) -> Tensor:
    """Sort neurons into parts of equal size by their input weights, (neurons,): k-means whose clusters are filled up
    to size, nearest neurons first.

    weights: (neurons, width), such as `MLP.read_weights`. ValueError where parts do not divide the neurons.

    >>> weights = torch.tensor([[0.0], [0.1], [5.0], [5.1]])
    >>> parts = rv.interpret.partition(weights, 2).tolist()
    >>> parts[0] == parts[1], parts[2] == parts[3], parts[0] == parts[2]
    (True, True, False)
    """
    from sklearn.cluster import KMeans

    rows = weights.detach().double().numpy()
    parts = count(parts, "parts", 1)
    if len(rows) % parts:
        raise ValueError(f"parts are {parts} of {len(rows)} neurons; expected a divisor: parts are of equal size.")
    centres = KMeans(parts, n_init=4, random_state=seed).fit(rows).cluster_centers_
    gaps = ((rows[:, None] - centres[None]) ** 2).sum(2)
    labels, room = np.full(len(rows), -1), np.full(parts, len(rows) // parts)
    for flat in np.argsort(gaps, axis=None, kind="stable"):
        neuron, part = divmod(int(flat), parts)
        if labels[neuron] < 0 and room[part]:
            labels[neuron], room[part] = part, room[part] - 1
    return torch.from_numpy(labels)


def route(change: Edit, mlp: MLP, parts: Tensor, share: float = 0.5) -> Edit:
    """Let only a `share` of an MLP's parts work at each token, those that would add most to the stream.

    A part's weight is Σ |a_n| ‖w_n‖ over its neurons, a_n being their activations and w_n what they write: the choice
    that a perfect router makes. `change` is an open `edit(model)`.

    >>> encoder = torch.nn.TransformerEncoder(torch.nn.TransformerEncoderLayer(16, 2, 64, batch_first=True), 1).eval()
    >>> block = rv.interpret.mlps(encoder)[0]
    >>> x = torch.rand(2, 3, 16)
    >>> with rv.interpret.edit(encoder) as change:
    ...     y = rv.interpret.route(change, block, torch.arange(64) % 4, share=1.0) and encoder(x)
    >>> torch.allclose(y, encoder(x), atol=1e-6)  # with all parts at work nothing changes
    True
    """
    sizes = torch.bincount(parts)
    if parts.shape != (mlp.size,) or bool((sizes != sizes[0]).any()):
        raise ValueError(
            f"parts are {tuple(parts.shape)} of sizes {sizes.tolist()}; expected equal ones ({mlp.size},)."
        )
    number_of = max(1, round(len(sizes) * chance(share, "share")))
    order = parts.argsort(stable=True)
    lengths = mlp.write_weights.detach().norm(dim=1)

    def masked(a: Tensor) -> Tensor:
        amounts = (a.abs() * lengths.to(a))[..., order].unflatten(-1, (len(sizes), -1)).sum(-1)
        on = torch.zeros_like(amounts).scatter(-1, amounts.topk(number_of, -1).indices, 1.0)
        return a * on[..., parts]

    return change.transform(mlp.neurons, masked)


class Brick(nn.Module):
    """A part that is added to a layer: x ↦ B·gelu(A x), B zero at first, so that it changes nothing until trained.

    >>> brick = rv.interpret.Brick(width=4, neurons=8)
    >>> brick(torch.rand(2, 4)).abs().max().item()  # nothing until it is trained
    0.0
    """

    def __init__(self, width: int, neurons: int) -> None:
        super().__init__()
        self.up = nn.Linear(count(width, "width", 1), count(neurons, "neurons", 1))
        self.down = nn.Linear(neurons, width, bias=False)
        nn.init.zeros_(self.down.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(nn.functional.gelu(self.up(x)))


@contextmanager
def plugged(model: nn.Module, bricks: dict[str, list[Brick]]) -> Iterator[None]:
    """Add bricks to modules' outputs while a block runs; several at one module are merged by adding what they give.

    bricks: names of modules that take and return (..., width), MLP blocks as a rule, to their bricks. The model's own
    weights are not touched: unplugged it is what it was, to the bit. Gradients reach the bricks, for training.

    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 4))
    >>> brick = rv.interpret.Brick(4, 8)
    >>> _ = torch.nn.init.ones_(brick.down.weight)
    >>> x = torch.rand(2, 4)
    >>> before = model(x)
    >>> with rv.interpret.plugged(model, {"0": [brick]}):
    ...     changed = not torch.equal(model(x), before)
    >>> changed, torch.equal(model(x), before)
    (True, True)
    """
    modules = dict(model.named_modules())
    handles = []
    try:
        for name, some in bricks.items():
            if name not in modules:
                raise ValueError(f"module is {name!r}; expected one of the model: look at its named_modules().")

            def add(module: nn.Module, args: tuple[Tensor, ...], output: Tensor, some: list[Brick] = some) -> Tensor:
                for brick in some:
                    output = output + brick(args[0])
                return output

            handles.append(modules[name].register_forward_hook(add))
        yield
    finally:
        for handle in handles:
            handle.remove()


__all__ = ["Brick", "enrichment", "functional_neurons", "partition", "plugged", "predictivity", "route"]
