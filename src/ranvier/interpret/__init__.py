"""What the units of trained networks do: plain functions on any `torch.nn.Module`, through hooks.

`activations` records, `exemplars` shows what drives a unit, `edit` changes units while a block runs. `mlps` finds the
neurons of transformers, so that every function takes these as it takes any layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ranvier._lazy import attributes

if TYPE_CHECKING:
    from ranvier.interpret.checkpoints import read_model, store_model, stored_models
    from ranvier.interpret.editing import Edit, edit
    from ranvier.interpret.languages import (
        LanguageActivity,
        LanguageNeurons,
        alignment_neurons,
        language_activity,
        lape,
        largest_weight,
        masked_perplexities,
        stages,
    )
    from ranvier.interpret.layers import Layer, layer
    from ranvier.interpret.mlp_blocks import MLP, mlps
    from ranvier.interpret.perplexities import log_perplexity, perplexity
    from ranvier.interpret.recording import Activations, activations, read_activations
    from ranvier.interpret.top_examples import Exemplars, exemplars
    from ranvier.interpret.weight_decoding import (
        FeatureNeurons,
        clamped_lift,
        feature_neurons,
        output_embedding,
        persistence,
    )

_HOMES = {
    "ranvier.interpret.checkpoints": ["read_model", "store_model", "stored_models"],
    "ranvier.interpret.editing": ["Edit", "edit"],
    "ranvier.interpret.top_examples": ["Exemplars", "exemplars"],
    "ranvier.interpret.weight_decoding": [
        "FeatureNeurons", "clamped_lift", "feature_neurons", "output_embedding", "persistence",
    ],
    "ranvier.interpret.languages": [
        "LanguageActivity", "LanguageNeurons", "alignment_neurons", "language_activity", "lape", "largest_weight",
        "masked_perplexities", "stages",
    ],
    "ranvier.interpret.layers": ["Layer", "layer"],
    "ranvier.interpret.mlp_blocks": ["MLP", "mlps"],
    "ranvier.interpret.perplexities": ["log_perplexity", "perplexity"],
    "ranvier.interpret.recording": ["Activations", "activations", "read_activations"],
}

__all__ = [
    "MLP", "Activations", "Edit", "Exemplars", "FeatureNeurons", "LanguageActivity", "LanguageNeurons", "Layer",
    "activations", "alignment_neurons", "clamped_lift", "edit", "exemplars", "feature_neurons", "language_activity",
    "lape", "largest_weight", "layer", "log_perplexity", "masked_perplexities", "mlps", "output_embedding",
    "perplexity", "persistence", "read_activations", "read_model", "stages", "store_model", "stored_models",
]  # fmt: skip

__getattr__, __dir__ = attributes(__name__, _HOMES)
