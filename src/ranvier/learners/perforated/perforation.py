"""Put dendrites into a model, let them grow, freeze them: what a training loop of one's own calls."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from torch import nn
from torch.nn.parameter import UninitializedParameter

from ranvier.learners.perforated.dendrites import ACTIVATIONS, Dendrites
from ranvier.learners.perforated.layers import (
    CELLS,
    CONVOLUTIONS,
    SEQUENCES,
    Perforated,
    PerforatedCell,
    PerforatedSequence,
)

_KINDS = (nn.Linear, *CONVOLUTIONS, *SEQUENCES, *CELLS)


def perforate(
    model: nn.Module, layers: Collection[str] | None = None, *, activation: str = "sigmoid", through: bool = False
) -> nn.Module:
    """Let the neurons of `model` have dendrites, none at first (Brenner & Itti 2025); the model, changed in place, or,
    of a model that is one such layer itself, what holds it.

    Every nn.Linear, nn.Conv1d to Conv3d, nn.RNN, LSTM, GRU and their cells is replaced by one that holds it and gives
    main(x) + Σ_k w_k σ(d_k(x) + Σ_{j<k} c_kj o_j), with d_k a map of the same kind. `PerforatedBackpropagation` trains
    it; or a loop of one's own:

        model = perforate(model)
        ...                                           # train all parameters, until the loss falls no more
        optimizer = torch.optim.Adam(grow(model))     # the same loop, loss.backward() and all, for the dendrites alone
        ...
        adopt(model)                                  # frozen; go on training model.parameters()

    layers : names as in `model.named_modules()`; default all. activation : σ, "sigmoid" or "tanh".
    through : errors reach what dendrites read through them, too. Default no: that is the perforation.

    Raises ValueError for a model without such layers, for weights that two layers share, for layers not yet
    initialised, and for what is perforated; TypeError for what is no module. The model is then unchanged.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> model = rv.learners.perforate(torch.nn.Sequential(torch.nn.Linear(4, 2)))
    >>> rv.learners.count_dendrites(model)
    0
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"the model is a {type(model).__name__}; expected a torch module")
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation is {activation!r}; expected one of {', '.join(map(repr, ACTIVATIONS))}")
    if any(isinstance(m, Dendrites) for m in model.modules()):
        raise ValueError("the model is perforated; expected one without dendrites: call grow(model) for more")
    chosen = _chosen(model, layers)
    _require_own_weights(model, chosen)
    for name, module in chosen.items():
        new = _wrap(module, activation, through).train(module.training)
        if not name:
            return new
        parent = model.get_submodule(name.rpartition(".")[0])
        setattr(parent, name.rpartition(".")[2], new)
    for module in model.modules():
        if isinstance(module, nn.TransformerEncoderLayer):
            module.activation_relu_or_gelu = 0  # its fused call reads the weights of layers instead of calling them
    return model


def grow(model: nn.Module) -> list[nn.Parameter]:
    """Begin one dendrite for every neuron; its parameters, which `loss.backward()` then leaves gradients in.

    Raises ValueError where dendrites grow already, or the model is not perforated.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> model = rv.learners.perforate(torch.nn.Sequential(torch.nn.Linear(4, 2)))
    >>> len(rv.learners.grow(model)) > 0
    True
    """
    groups = list(dendrites_of(model))
    if any(group.candidate is not None for group in groups):
        raise ValueError("the model has dendrites that grow; expected none: call adopt(model) first")
    return [p for group in groups for p in group.begin()]


def adopt(model: nn.Module) -> list[nn.Parameter]:
    """Freeze the dendrites that grow, each at its best score; their weights to the neurons, 0 at first, which are to
    be trained.

    Raises ValueError where none grow.

    >>> model = rv.learners.perforate(torch.nn.Sequential(torch.nn.Linear(4, 2)))
    >>> growing = rv.learners.grow(model)
    >>> weights = rv.learners.adopt(model)
    >>> rv.learners.count_dendrites(model), all(bool((w == 0).all()) for w in weights)
    (1, True)
    """
    groups = list(dendrites_of(model))
    if any(group.candidate is None for group in groups):
        raise ValueError("the model has no dendrites that grow; expected some: call grow(model) first")
    return [group.adopt() for group in groups]


def count_dendrites(model: nn.Module) -> int:
    """Frozen dendrites a neuron.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> model = rv.learners.perforate(torch.nn.Sequential(torch.nn.Linear(4, 2)))
    >>> rv.learners.count_dendrites(model)
    0
    """
    return len(next(dendrites_of(model)).grown)


def dendrites_of(model: nn.Module) -> Iterator[Dendrites]:
    """Of every layer, in order. ValueError for a model that is not perforated."""
    groups = [m for m in model.modules() if isinstance(m, Dendrites)]
    if not groups:
        raise ValueError(f"the {type(model).__name__} has no dendrites; expected perforate(model)")
    return iter(groups)


def _chosen(model: nn.Module, layers: Collection[str] | None) -> dict[str, Any]:
    """Layers by name, each once."""
    if isinstance(layers, str):
        raise TypeError(f"layers is the text {layers!r}; expected a list of names: [{layers!r}]")
    known = {name: m for name, m in model.named_modules() if type(m) in _KINDS}
    if layers is not None:
        if unknown := [name for name in layers if name not in known]:
            raise ValueError(
                f"layers names {unknown[0]!r}; expected linear, convolutional or recurrent layers of the model: "
                f"{', '.join(map(repr, known)) or 'it has none'}"
            )
        known = {name: known[name] for name in layers}
    if layers is not None and not known:
        raise ValueError("layers names none; expected one at least, or None for all")
    if not known:
        raise ValueError(
            f"the {type(model).__name__} has no nn.Linear, nn.Conv1d, Conv2d or Conv3d, nn.RNN, LSTM or GRU (none "
            "parametrized, or a subclass); expected one at least"
        )
    for name, module in known.items():
        if any(isinstance(p, UninitializedParameter) for p in module.parameters()):
            raise ValueError(f"the layer {name!r} has no shape yet; expected one: run the model once")
        if getattr(module, "proj_size", 0):
            raise ValueError(f"the layer {name!r} has proj_size = {module.proj_size}; expected 0: leave it out")
    return known


def _require_own_weights(model: nn.Module, chosen: dict[str, Any]) -> None:
    """ValueError where a chosen layer, or its weight, is also another's."""
    names: dict[int, list[str]] = {}
    for name, p in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(p), []).append(name)
    for module in chosen.values():
        for p in module.parameters():
            if len(names[id(p)]) > 1:
                raise ValueError(
                    f"{' and '.join(names[id(p)])} are one tensor; expected layers with separate weights: which "
                    "neuron's error would a dendrite follow? Leave the layer out by layers="
                )


def _wrap(module: Any, activation: str, through: bool) -> nn.Module:
    if type(module) in SEQUENCES:
        return PerforatedSequence(module, activation, through)
    return (PerforatedCell if type(module) in CELLS else Perforated)(module, activation, through)


__all__ = ["adopt", "count_dendrites", "dendrites_of", "grow", "perforate"]
