"""A case for every function of `ranvier.interpret` that takes a model: a new one comes with a line here."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ranvier import interpret as I
from tests.interpret.conftest import language_model

IDS = torch.randint(0, 30, (3, 5), generator=torch.Generator().manual_seed(0))
TEXTS = [{"input_ids": IDS, "attention_mask": torch.ones(3, 5, dtype=torch.long)}]
IMAGES = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def language() -> nn.Module:
    return language_model("llama").double()


def convolutional() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 5, 3), nn.ReLU(inplace=True), nn.Conv2d(5, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)
    ).double()


@dataclass(frozen=True)
class Case:
    """make() -> the model; act(model): the function called, and what it returns used. runs: whether the model runs."""

    make: Callable[[], nn.Module]
    act: Callable[[nn.Module], Any]
    runs: bool = True


def edited(model):
    with I.edit(model) as change:
        change.scale("1", None, 2.0)
        return model(IMAGES)


def with_brick(model):
    with I.plugged(model, {I.mlps(model)[0].block: [I.Brick(12, 4).double()]}):
        return model(input_ids=IDS).logits


def masked(model):
    data = {"a": TEXTS, "b": [{"input_ids": IDS.flip(0)}]}
    activity = I.language_activity(model, data)
    return I.masked_perplexities(model, I.lape(activity, share=0.3, percentile=0.6), data)


def lifted(model):
    torch.manual_seed(2)
    features = I.SparseAutoencoder(12, 20).double()
    return I.feature_lift(model, "model.layers.0", features, IDS, torch.arange(2), torch.arange(3), torch.arange(5, 9))


def vectors() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 4), nn.GELU(), nn.Linear(4, 5), nn.GELU(), nn.Linear(5, 3)).double()


X = torch.randn(3, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
def pooled(model):
    best = I.exemplars(I.activations(model, [IMAGES], "0"), "0", top=2)
    return I.pooled_features(model, IMAGES, best, ["0", "2"])


ROUTE = {"which": ["1", "3"], "steps": 3, "token": None}
CASES = {
    "activation_graphs": Case(language, lambda m: I.activation_graphs(m, TEXTS, top=3)),
    "activations": Case(convolutional, lambda m: I.activations(m, [IMAGES], "1")["1"]),
    "baseline_paths": Case(vectors, lambda m: I.baseline_paths(m, X, "gradient", **ROUTE).units),
    "clamped_lift": Case(language, lambda m: I.clamped_lift(m, TEXTS, I.mlps(m)[0], 2, 7, 3.0)),
    "edit": Case(convolutional, edited),
    "feature_lift": Case(language, lifted),
    "feature_neurons": Case(language, lambda m: I.feature_neurons(m, top=2), runs=False),
    "language_activity": Case(language, lambda m: I.language_activity(m, {"a": TEXTS, "b": TEXTS})),
    "layer": Case(convolutional, lambda m: I.layer(m, "1"), runs=False),
    "log_perplexity": Case(language, lambda m: I.log_perplexity(m, TEXTS)),
    "masked_perplexities": Case(language, masked),
    "maximise": Case(convolutional, lambda m: I.maximise(m, "2", 1, IMAGES, [I.Stage(2, 0.3)])),
    "mlps": Case(language, I.mlps, runs=False),
    "neuron_paths": Case(vectors, lambda m: I.neuron_paths(m, X, **ROUTE).units),
    "output_embedding": Case(language, I.output_embedding, runs=False),
    "path_scores": Case(vectors, lambda m: I.path_scores(m, X, torch.zeros(3, 2, dtype=torch.long), **ROUTE)),
    "perplexity": Case(language, lambda m: I.perplexity(m, TEXTS)),
    "plugged": Case(language, with_brick),
    "pooled_features": Case(convolutional, pooled),
}


def methods() -> set[str]:
    """Public functions whose first argument is a model."""
    names = set()
    for name in I.__all__:
        function = getattr(I, name)
        if inspect.isfunction(function):
            first = next(iter(inspect.signature(function).parameters.values()), None)
            if first is not None and first.annotation in ("nn.Module", nn.Module):
                names.add(name)
    return names
