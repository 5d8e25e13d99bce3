"""Neuron paths of vision transformers: one neuron a layer that together carry an answer (NeuronPath 2025)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from ranvier._checks import count
from ranvier._results import Fields
from ranvier.interpret._batches import batch_of, evaluating
from ranvier.interpret.layers import UnitLayer, layers, require_finite_weights
from ranvier.interpret.mlp_blocks import mlps

Rule = Literal["riemann", "gauss"]


@dataclass(frozen=True)
class NeuronPaths(Fields):
    """A neuron in each layer for each example: `units` (examples, layers) and the joint score, `scores` (examples,).
    Returned by `neuron_paths`.
    """

    layers: tuple[str, ...]
    units: Tensor
    scores: Tensor
    targets: Tensor


@dataclass(frozen=True)
class PathScores(Fields):
    """`scores` (examples,): joint attribution; `contributions` (examples, layers): integrated gradients, whose sum is
    the `change` (examples,) of the target's probability from the path at zero to the path as it is.
    Returned by `path_scores`.
    """

    scores: Tensor
    contributions: Tensor
    change: Tensor


def neuron_paths(
    model: nn.Module,
    x: Tensor,
    which: Sequence[str | UnitLayer] | None = None,
    *,
    targets: Tensor | None = None,
    steps: int = 20,
    token: int | None = 0,
) -> NeuronPaths:
    """Greedy search from the first layer to the last for the path of the largest joint attribution score.

    JAS(P) = (Σ_l w_l) (1/m) Σ_k Σ_l ∂p_y/∂w_l, the gradients taken where the path's activations are scaled by
    α = k/m. At each layer all its neurons are scaled together from zero, so that one backward pass scores every one of
    them, while of the layers before only the chosen neuron is; the neuron of the largest score is appended.

    Parameters
    ----------
    model
        A classifier that returns logits (B, classes), or an object with `logits`.
    x
        Inputs (B, ...). All steps of all of them are one batch.
    which
        Layers in order; the neurons of all MLPs by default.
    targets
        The class of each example, (B,); what the model answers by default.
    steps
        m of the path integral.
    token
        The position whose activations are meant, the class token's by default; None for layers (B, units).

    Raises
    ------
    ValueError
        for unknown layers, a token or target that is not there, and weights or inputs that are not finite.

    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.ReLU(), torch.nn.Linear(5, 2))
    >>> _ = torch.nn.init.zeros_(model[2].weight)
    >>> with torch.no_grad():
    ...     model[2].weight[0, 3] = 5.0  # only neuron 3 counts, for class 0
    >>> x = torch.rand(1, 4) + model[0].weight[3].sign()
    >>> rv.interpret.neuron_paths(model, x, ["1"], targets=torch.tensor([0]), token=None).units.tolist()
    [[3]]
    """
    job = _Job(model, x, which, targets, steps, token)
    examples = len(x)
    chosen: list[Tensor] = []
    scores = torch.zeros(examples)
    alphas = torch.arange(1, job.steps + 1, dtype=x.dtype) / job.steps
    for depth, layer in enumerate(job.layers):
        whole = job.activity[depth]
        earlier = [
            (one, job.activity[k].gather(1, units[:, None]), units[:, None])
            for k, (one, units) in enumerate(zip(job.layers[:depth], chosen, strict=True))
        ]
        gradients = job.gradients([*earlier, (layer, whole, None)], alphas)
        means = [g.mean(0) for g in gradients]
        before = sum((value for _, value, _ in earlier), torch.zeros(examples, 1, dtype=x.dtype))
        slopes = sum(means[:-1], torch.zeros(examples, 1, dtype=x.dtype))
        joint = (before + whole) * (slopes + means[-1])
        scores, units = joint.max(1)
        chosen.append(units)
    return NeuronPaths(tuple(one.name for one in job.layers), torch.stack(chosen, 1), scores, job.targets)


def path_scores(
    model: nn.Module,
    x: Tensor,
    units: Tensor,
    which: Sequence[str | UnitLayer] | None = None,
    *,
    targets: Tensor | None = None,
    steps: int = 20,
    token: int | None = 0,
    rule: Rule = "riemann",
) -> PathScores:
    """The joint attribution score of given paths, `units` (B, layers), only the path's neurons being scaled.

    rule: "riemann" as the paper sums, or "gauss", by which contributions add up to the change within rounding where
    the model is smooth. Other parameters and errors as of `neuron_paths`.

    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Sigmoid(), torch.nn.Linear(5, 2))
    >>> units = torch.zeros(3, 1, dtype=torch.int64)
    >>> result = rv.interpret.path_scores(model, torch.rand(3, 4), units, ["1"], token=None, rule="gauss")
    >>> bool(torch.allclose(result.contributions.sum(1), result.change, atol=1e-5))
    True
    """
    job = _Job(model, x, which, targets, steps, token)
    if units.shape != (len(x), len(job.layers)) or units.is_floating_point():
        raise ValueError(
            f"units are {units.dtype} of shape {tuple(units.shape)}; expected indices ({len(x)}, {len(job.layers)}): "
            "one a layer for every example."
        )
    for k, activity in enumerate(job.activity):
        if int(units[:, k].min()) < 0 or int(units[:, k].max()) >= activity.shape[1]:
            raise ValueError(
                f"units of layer {job.layers[k].name} are {int(units[:, k].min())} to {int(units[:, k].max())}; "
                f"expected 0 to {activity.shape[1] - 1}."
            )
    if rule == "gauss":
        nodes, weights = np.polynomial.legendre.leggauss(job.steps)
        alphas, weight = torch.from_numpy((nodes + 1) / 2).to(x), torch.from_numpy(weights / 2).to(x)
    elif rule == "riemann":
        alphas = torch.arange(1, job.steps + 1, dtype=x.dtype) / job.steps
        weight = torch.full((job.steps,), 1 / job.steps, dtype=x.dtype)
    else:
        raise ValueError(f"rule is {rule!r}; expected 'riemann' or 'gauss'.")
    values = [a.gather(1, units[:, k, None]) for k, a in enumerate(job.activity)]
    parts = [(one, value, units[:, k, None]) for k, (one, value) in enumerate(zip(job.layers, values, strict=True))]
    gradients = torch.cat([(g * weight.view(-1, 1, 1)).sum(0) for g in job.gradients(parts, alphas)], 1)
    strengths = torch.cat(values, 1)
    ends = [job.probability(parts, torch.tensor([alpha], dtype=x.dtype))[0] for alpha in (0.0, 1.0)]
    return PathScores(strengths.sum(1) * gradients.sum(1), strengths * gradients, ends[1] - ends[0])


def baseline_paths(
    model: nn.Module,
    x: Tensor,
    kind: Literal["activation", "gradient", "random"],
    which: Sequence[str | UnitLayer] | None = None,
    *,
    targets: Tensor | None = None,
    steps: int = 20,
    token: int | None = 0,
    seed: int = 0,
) -> NeuronPaths:
    """Paths that choose each layer's neuron for itself: the most active, the one of the largest integrated gradient
    within its layer, or any. Scores are those of `path_scores`; parameters and errors as of `neuron_paths`.

    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.ReLU(), torch.nn.Linear(5, 2))
    >>> x = torch.rand(3, 4)
    >>> paths = rv.interpret.baseline_paths(model, x, "activation", ["1"], token=None)
    >>> torch.equal(paths.units[:, 0], model[:2](x).argmax(1))  # the most active neuron
    True
    """
    job = _Job(model, x, which, targets, steps, token)
    if kind not in ("activation", "gradient", "random"):
        raise ValueError(f"kind is {kind!r}; expected 'activation', 'gradient' or 'random'.")
    generator = torch.Generator().manual_seed(seed)
    alphas = torch.arange(1, job.steps + 1, dtype=x.dtype) / job.steps
    columns = []
    for layer, activity in zip(job.layers, job.activity, strict=True):
        if kind == "random":
            columns.append(torch.randint(activity.shape[1], (len(x),), generator=generator))
        elif kind == "activation":
            columns.append(activity.argmax(1))
        else:
            columns.append((activity * job.gradients([(layer, activity, None)], alphas)[0].mean(0)).argmax(1))
    units = torch.stack(columns, 1)
    scores = path_scores(model, x, units, job.layers, targets=job.targets, steps=steps, token=token).scores
    return NeuronPaths(tuple(one.name for one in job.layers), units, scores, job.targets)


def path_overlap(paths: NeuronPaths) -> tuple[float, float]:
    """The mean share of layers in which two examples' paths agree: pairs of one target, and pairs of different ones.

    >>> units, targets = torch.tensor([[1, 2], [1, 2], [3, 2]]), torch.tensor([0, 0, 1])
    >>> paths = rv.interpret.NeuronPaths(("a", "b"), units, torch.zeros(3), targets)
    >>> rv.interpret.path_overlap(paths)  # of one class all; of two classes one layer of two
    (1.0, 0.5)
    """
    same = (paths.units[:, None] == paths.units[None]).double().mean(2)
    alike = paths.targets[:, None] == paths.targets[None]
    upper = torch.ones_like(alike).triu(1)
    return float(same[alike & upper].mean()), float(same[~alike & upper].mean())


_Part = tuple[UnitLayer, Tensor, Tensor | None]  # a layer, its values (B, k), which units (B, k) or None for all


class _Job:
    """What all searches share: layers, clean activations, targets, and gradients with activations put in."""

    def __init__(
        self,
        model: nn.Module,
        x: Tensor,
        which: Sequence[str | UnitLayer] | None,
        targets: Tensor | None,
        steps: int,
        token: int | None,
    ) -> None:
        self.model, self.steps, self.token = model, count(steps, "steps", 1), token
        self.x = batch_of(x, 0).args[0]
        self.layers = tuple(mlp.neurons for mlp in mlps(model)) if which is None else layers(model, which)
        require_finite_weights(model)
        self.activity: list[Tensor] = []
        with evaluating(model), self._hooks([one.attach(self._keep(one)) for one in self.layers]):
            logits = self._logits(self.x)
        if len(self.activity) != len(self.layers):
            raise ValueError(
                f"{len(self.layers)} layers ran {len(self.activity)} times in a forward pass; expected once each."
            )
        self.targets = logits.argmax(1) if targets is None else targets
        if self.targets.shape != (len(x),) or self.targets.is_floating_point():
            raise ValueError(f"targets have shape {tuple(self.targets.shape)}; expected classes ({len(x)},), integers.")
        if int(self.targets.min()) < 0 or int(self.targets.max()) >= logits.shape[1]:
            raise ValueError(f"targets reach {int(self.targets.max())}; expected 0 to {logits.shape[1] - 1}.")

    def gradients(self, parts: Sequence[_Part], alphas: Tensor) -> list[Tensor]:
        """∂p_y/∂values of each part at every α, (steps, B, k)."""
        leaves = [self._scaled(value, alphas).requires_grad_() for _, value, _ in parts]
        with evaluating(self.model), torch.enable_grad(), self._put(parts, leaves, len(alphas)):
            total = self._chosen(len(alphas)).sum()
            gradients = torch.autograd.grad(total, leaves, allow_unused=True)
        shapes = zip(gradients, leaves, strict=True)
        return [
            (torch.zeros_like(leaf) if g is None else g).reshape(len(alphas), len(self.x), -1) for g, leaf in shapes
        ]

    def probability(self, parts: Sequence[_Part], alphas: Tensor) -> Tensor:
        """p_y at every α, (steps, B)."""
        leaves = [self._scaled(value, alphas) for _, value, _ in parts]
        with evaluating(self.model), self._put(parts, leaves, len(alphas)):
            return self._chosen(len(alphas)).reshape(len(alphas), -1)

    def _chosen(self, repeats: int) -> Tensor:
        x = self.x.repeat(repeats, *[1] * (self.x.ndim - 1))
        shares = self._logits(x).softmax(1)
        return shares.gather(1, self.targets.repeat(repeats)[:, None])[:, 0]

    def _logits(self, x: Tensor) -> Tensor:
        output: Any = self.model(x)
        logits = getattr(output, "logits", output)
        if not isinstance(logits, Tensor) or logits.ndim != 2:
            raise ValueError(
                f"the model returns {type(logits).__name__}; expected logits (B, classes): give a classifier."
            )
        return logits

    @staticmethod
    def _scaled(value: Tensor, alphas: Tensor) -> Tensor:
        """α times the values, steps first and joined with the batch, (steps × B, k)."""
        return (alphas.view(-1, 1, 1) * value).flatten(0, 1).detach().clone()

    def _row(self, x: Tensor, layer: UnitLayer) -> Tensor:
        if self.token is None:
            if x.ndim != 2:
                raise ValueError(f"layer {layer.name} gives {tuple(x.shape)}; expected (B, units), or give token=.")
            return x
        if x.ndim != 3 or not -x.shape[1] <= self.token < x.shape[1]:
            raise ValueError(
                f"layer {layer.name} gives {tuple(x.shape)}; expected (B, T, units) with a token {self.token}: for "
                "layers without tokens give token=None."
            )
        return x[:, self.token]

    def _keep(self, layer: UnitLayer) -> Callable[[Tensor], None]:
        return lambda x: self.activity.append(self._row(x, layer).detach().clone())

    def _put(self, parts: Sequence[_Part], leaves: Sequence[Tensor], repeats: int) -> Any:
        def putter(layer: UnitLayer, leaf: Tensor, units: Tensor | None) -> Callable[[Tensor], Tensor]:
            def put(x: Tensor) -> Tensor:
                row = self._row(x, layer)
                row = leaf if units is None else row.scatter(1, units.repeat(repeats, 1), leaf)
                if self.token is None:
                    return row
                changed = x.clone()
                changed[:, self.token] = row
                return changed

            return put

        pairs = zip(parts, leaves, strict=True)
        return self._hooks([layer.attach(putter(layer, leaf, units)) for (layer, _, units), leaf in pairs])

    @staticmethod
    @contextmanager
    def _hooks(handles: Sequence[Any]) -> Iterator[None]:
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


__all__ = ["NeuronPaths", "PathScores", "baseline_paths", "neuron_paths", "path_overlap", "path_scores"]
