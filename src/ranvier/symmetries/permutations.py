"""Permutations that change nothing: of objects in a scene, of hidden neurons; two trained networks brought in line."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from itertools import permutations

import numpy as np
import torch
from torch import Tensor, nn

from ranvier._checks import count, floating, function, instance, number, positive, returned

_MOST_OBJECTS = 8


def object_symmetries(
    picture: Callable[[Tensor], Tensor], scenes: Tensor, tolerance: float = 1e-6
) -> list[tuple[int, ...]]:
    """The permutations of n objects in scenes (B, n, features) that leave pictures of them as they are.

    picture: scenes → (B, ...), a renderer, or a network. A permutation counts where the largest change is below
    `tolerance` of the pictures' largest value. They form a group; objects of one kind may be exchanged.
    Raises ValueError for more than 8 objects, and scenes of another shape.

    >>> scenes = torch.rand(4, 3, 2)
    >>> weights = torch.tensor([1.0, 1.0, 2.0])[:, None]  # the third object is of another kind
    >>> rv.symmetries.object_symmetries(lambda s: (weights * s).sum(1), scenes)
    [(0, 1, 2), (1, 0, 2)]
    """
    if not isinstance(scenes, Tensor) or scenes.ndim != 3 or not 1 <= scenes.shape[1] <= _MOST_OBJECTS:
        what = tuple(scenes.shape) if isinstance(scenes, Tensor) else type(scenes).__name__
        raise ValueError(f"scenes is {what}; expected (B, n, features) of at most {_MOST_OBJECTS} objects")
    floating(scenes, "scenes", "(B, n, features)", 3)
    function(picture, "picture", "scenes (B, n, features) -> pictures (B, ...)")
    limit = positive(tolerance, "tolerance")
    with torch.no_grad():
        before = floating(returned(picture(scenes), "picture"), "a picture", "(B, ...)")
        largest = float(before.abs().max())
        return [
            order
            for order in permutations(range(scenes.shape[1]))
            if float((picture(scenes[:, list(order)]) - before).abs().max()) <= limit * largest
        ]


def permute_neurons(model: nn.Sequential, orders: Sequence[Tensor]) -> nn.Sequential:
    """A copy of a multi-layer perceptron with its hidden neurons in other orders: the same function.

    orders: for each hidden layer the old index of every new neuron. Raises ValueError for a model that is not made of
    `Linear` layers with functions of one neuron between them, and for orders that are no permutations.

    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    >>> other, x = rv.symmetries.permute_neurons(model, [torch.tensor([2, 0, 3, 1])]), torch.rand(5, 3)
    >>> bool(torch.allclose(other(x), model(x), atol=1e-6))  # the same function
    True
    """
    new = copy.deepcopy(model)
    layers = _layers(new)
    if len(orders) != len(layers) - 1:
        raise ValueError(f"there are {len(orders)} orders; expected one a hidden layer: {len(layers) - 1}")
    with torch.no_grad():
        for k, order in enumerate(orders):
            width = layers[k].out_features
            instance(order, Tensor, f"order {k}", f"a tensor of the numbers 0 to {width - 1}")
            if order.dtype != torch.int64 or order.ndim != 1 or sorted(order.tolist()) != list(range(width)):
                raise ValueError(f"order {k} is {order.tolist()!r:.60}; expected a permutation of 0 to {width - 1}")
            layers[k].weight.copy_(layers[k].weight[order])
            if layers[k].bias is not None:
                layers[k].bias.copy_(layers[k].bias[order])
            layers[k + 1].weight.copy_(layers[k + 1].weight[:, order])
    return new


def match_neurons(
    reference: nn.Sequential, model: nn.Sequential, sweeps: int = 100, seed: int = 0
) -> tuple[nn.Sequential, list[Tensor]]:
    """`model` with its hidden neurons in the order in which its weights lie nearest to the reference's, and the orders.

    Weight matching by coordinate descent (Ainsworth, Hayase & Srinivasa 2023, Git Re-Basin, algorithm 1): one hidden
    layer's assignment after another, exactly, until none changes; the sum of products of weights never falls.
    Raises ValueError for models that differ in shape.

    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    >>> shuffled = rv.symmetries.permute_neurons(model, [torch.tensor([2, 0, 3, 1])])
    >>> matched, _ = rv.symmetries.match_neurons(model, shuffled)
    >>> torch.equal(matched[0].weight, model[0].weight)
    True
    """
    from scipy.optimize import linear_sum_assignment

    a, b = _layers(reference), _layers(model)
    if [x.weight.shape for x in a] != [x.weight.shape for x in b]:
        shapes = [tuple(tuple(x.weight.shape) for x in layers) for layers in (a, b)]
        raise ValueError(f"model's weights are {shapes[1]}; expected the reference's shapes: {shapes[0]}")
    A, B = ([x.weight.detach().double().numpy() for x in layers] for layers in (a, b))
    bias = [
        [None if x.bias is None else x.bias.detach().double().numpy() for x in layers[:-1]] for layers in (a, b)
    ]
    orders = [np.arange(w.shape[0]) for w in A[:-1]]
    rng = np.random.default_rng(seed)
    for _ in range(count(sweeps, "sweeps", 1)):
        changed = False
        for k in rng.permutation(len(orders)):
            before = B[k][:, orders[k - 1]] if k else B[k]
            after = B[k + 1][orders[k + 1]] if k + 1 < len(orders) else B[k + 1]
            likeness = A[k] @ before.T + A[k + 1].T @ after
            if bias[0][k] is not None and bias[1][k] is not None:
                likeness = likeness + np.outer(bias[0][k], bias[1][k])
            new = linear_sum_assignment(likeness, maximize=True)[1]
            index = np.arange(len(new))
            gain = likeness[index, new].sum() - likeness[index, orders[k]].sum()
            if gain > 1e-12 * np.abs(likeness).sum():
                orders[k], changed = new, True
        if not changed:
            break
    result = [torch.from_numpy(order) for order in orders]
    return permute_neurons(model, result), result


def interpolate(first: nn.Module, second: nn.Module, share: float) -> nn.Module:
    """A network with weights (1 − share) · first + share · second; ValueError where they differ in shape.

    >>> first, second = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    >>> middle = rv.symmetries.interpolate(first, second, 0.5)
    >>> bool(torch.allclose(middle.weight, (first.weight + second.weight) / 2))
    True
    """
    t = number(share, "share")
    for name, net in (("first", first), ("second", second)):
        instance(net, nn.Module, name, "a torch.nn.Module")
    new, other = copy.deepcopy(first), dict(second.named_parameters())
    with torch.no_grad():
        for name, weight in new.named_parameters():
            if name not in other or other[name].shape != weight.shape:
                raise ValueError(f"the second network's {name!r} differs or is missing; expected networks of one shape")
            weight.lerp_(other[name], t)
    return new


def barrier(loss: Callable[[nn.Module], float], first: nn.Module, second: nn.Module, points: int = 11) -> float:
    """How far the loss rises above the straight line between two networks' losses on the straight line between their
    weights (Frankle et al. 2020), at its highest; 0 where they are linearly connected.

    >>> first, second = torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False)
    >>> _ = torch.nn.init.constant_(first.weight, -1.0), torch.nn.init.constant_(second.weight, 1.0)
    >>> loss = lambda net: (net.weight**2 - 1).square().item()  # two minima, at −1 and 1
    >>> rv.symmetries.barrier(loss, first, second)  # 1 at 0, between them
    1.0
    """
    function(loss, "loss", "network -> number")
    for name, net in (("first", first), ("second", second)):
        instance(net, nn.Module, name, "a torch.nn.Module")
    ends = number(loss(first), "loss(first)"), number(loss(second), "loss(second)")
    shares = [k / (count(points, "points", 2) - 1) for k in range(points)]
    rise = [loss(interpolate(first, second, t)) - (1 - t) * ends[0] - t * ends[1] for t in shares[1:-1]]
    return max(0.0, *rise) if rise else 0.0


#: modules that act on each neuron alone, all in the same way: they may stand between linear layers
_POINTWISE = (nn.ReLU, nn.Tanh, nn.GELU, nn.SiLU, nn.Sigmoid, nn.ELU, nn.LeakyReLU, nn.Softplus, nn.Identity)


def _layers(model: nn.Sequential) -> list[nn.Linear]:
    if not isinstance(model, nn.Sequential):
        raise ValueError(f"the model is a {type(model).__name__}; expected torch.nn.Sequential of Linear layers")
    for part in model:
        if not isinstance(part, (nn.Linear, nn.Flatten, nn.Dropout, *_POINTWISE)):
            raise ValueError(
                f"the model holds a {type(part).__name__}; expected Linear layers and functions of one neuron between "
                f"them: {', '.join(p.__name__ for p in _POINTWISE)}"
            )
    layers = [part for part in model if isinstance(part, nn.Linear)]
    if len(layers) < 2:
        raise ValueError(f"the model has {len(layers)} Linear layers; expected two or more: add a hidden layer")
    return layers
