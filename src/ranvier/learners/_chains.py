"""Models as chains of layers with weights, for learners that need to know what comes after what."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from ranvier.learners._outputs import require_finite_input

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
WEIGHTED = (nn.Linear, *CONVOLUTIONS)


def blocks_of(model: nn.Module, learner: str, kinds: tuple[type, ...] = WEIGHTED) -> list[nn.Sequential]:
    """An nn.Sequential's blocks: a layer with weights each, and all that follows it up to the next; what stands before
    the first belongs to it. The blocks share the model's modules.

    Raises TypeError for other models; ValueError, by name, for shared weights, in-place activations, and parts with
    weights other than `kinds`.
    """
    if not isinstance(model, nn.Sequential):
        raise TypeError(
            f"the model is a {type(model).__name__}; expected an nn.Sequential: {learner} goes layer by layer"
        )
    require_own_weights(model, learner)
    blocks: list[list[nn.Module]] = [[]]
    for name, module in _flat(model):
        if getattr(module, "inplace", False):
            raise ValueError(
                f"{name} is {module}, which works in place; expected inplace=False: {learner} reads what it overwrites"
            )
        if type(module) in kinds:
            _require_plain_padding(name, module)
            if any(type(m) in kinds for m in blocks[-1]):
                blocks.append([])
        elif any(p.ndim > 1 for p in module.parameters()):
            known = ", ".join(kind.__name__ for kind in kinds)
            raise ValueError(f"{name} is a {type(module).__name__}; expected no weights but those of {known}")
        blocks[-1].append(module)
    if not any(type(m) in kinds for m in blocks[-1]):
        raise ValueError(f"the model has no layer with weights; expected {', '.join(kind.__name__ for kind in kinds)}")
    return [nn.Sequential(*block) for block in blocks]


def first_weighted(block: nn.Sequential) -> Any:
    """The layer with weights of a block."""
    return next(m for m in block if type(m) in WEIGHTED)


def weighted(model: nn.Module, learner: str) -> dict[str, Any]:
    """Linear and convolutional layers of any model by name. ValueError, by name, for shared weights and for other parts
    with weights: errors would go back through those exactly."""
    layers = {name or "model": m for name, m in model.named_modules() if type(m) in WEIGHTED}
    own = {id(p) for m in layers.values() for p in m.parameters()}
    for name, module in model.named_modules():
        if any(p.ndim > 1 and id(p) not in own for p in module.parameters(recurse=False)):
            raise ValueError(
                f"{name or 'the model'} is a {type(module).__name__} with other weights; expected nn.Linear and "
                f"nn.Conv1d to Conv3d alone, as {learner} changes how errors go back through weights"
            )
    if not layers:
        raise ValueError(
            f"the {type(model).__name__} has no nn.Linear, nn.Conv1d, Conv2d or Conv3d; expected one at least"
        )
    for name, module in layers.items():
        _require_plain_padding(name, module)
    require_own_weights(model, learner)
    return layers


def require_layer_input(x: Tensor, layers: dict[str, Any]) -> None:
    """Refuse input that is not finite, or not as the first layer's weights are, unless whole numbers are looked up."""
    require_finite_input(x, next(iter(layers.values())) if x.is_floating_point() else None)


def require_own_weights(model: nn.Module, learner: str) -> None:
    """ValueError where two parts of a model share a parameter."""
    names: dict[int, str] = {}
    for name, p in model.named_parameters(remove_duplicate=False):
        if (other := names.setdefault(id(p), name)) != name:
            raise ValueError(f"{other} and {name} are one tensor; expected separate weights for {learner}")


def input_gradient(layer: Any, weight: Tensor, x: Tensor, g: Tensor) -> Tensor:
    """∂/∂x of Σ g · layer(x), with `weight` in place of the layer's."""
    if isinstance(layer, nn.Linear):
        return g @ weight
    return _convolve_back(layer, weight, x, g, (True, False))[0]


def weight_gradient(layer: Any, x: Tensor, g: Tensor) -> tuple[Tensor, Tensor | None]:
    """∂/∂weight and ∂/∂bias of Σ g · layer(x)."""
    if isinstance(layer, nn.Linear):
        bias = None if layer.bias is None else g.flatten(0, -2).sum(0)
        return g.flatten(0, -2).T @ x.flatten(0, -2), bias
    weight = _convolve_back(layer, layer.weight, x, g, (False, True))[1]
    over = [0, *range(2, g.ndim)]
    return weight, None if layer.bias is None else g.sum(over)


def _convolve_back(layer: Any, weight: Tensor, x: Tensor, g: Tensor, which: tuple[bool, bool]) -> Any:
    zeros = [0] * len(layer.stride)
    return torch.ops.aten.convolution_backward(
        g, x, weight, None, layer.stride, layer.padding, layer.dilation, False, zeros, layer.groups, [*which, False]
    )


def _require_plain_padding(name: str, module: Any) -> None:
    if isinstance(module, CONVOLUTIONS) and (isinstance(module.padding, str) or module.padding_mode != "zeros"):
        raise ValueError(
            f"{name} pads by {module.padding!r}, {module.padding_mode!r}; expected numbers, and zeros: put an "
            "nn.ZeroPad or nn.CircularPad before it"
        )


def _flat(model: nn.Sequential, path: str = "") -> Iterable[tuple[str, nn.Module]]:
    for name, module in model.named_children():
        if isinstance(module, nn.Sequential):
            yield from _flat(module, f"{path}{name}.")
        else:
            yield path + name, module


__all__ = ["CONVOLUTIONS", "WEIGHTED", "blocks_of", "first_weighted", "input_gradient", "require_own_weights",
           "weight_gradient", "weighted"]  # fmt: skip
