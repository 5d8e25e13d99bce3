"""What the units of trained networks do: plain functions on any `torch.nn.Module`, through hooks.

`activations` records, `exemplars` shows what drives a unit, `edit` changes units while a block runs. `mlps` finds the
neurons of transformers, so that every function takes these as it takes any layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ranvier._lazy import attributes

if TYPE_CHECKING:
    from ranvier.interpret.bricks import Brick, enrichment, functional_neurons, partition, plugged, predictivity, route
    from ranvier.interpret.captions import (
        Captioner,
        Description,
        concept_overlap,
        describe,
        fit_captioner,
        pooled_features,
        token_f1,
    )
    from ranvier.interpret.editing import Edit, edit
    from ranvier.interpret.language_models.checkpoints import read_model, store_model, stored_models
    from ranvier.interpret.language_models.evaluators import Evaluation, Review, evaluate
    from ranvier.interpret.language_models.graphs import (
        ActivationGraphs,
        activation_graphs,
        merge_selections,
        select_texts,
    )
    from ranvier.interpret.language_models.languages import (
        LanguageActivity,
        LanguageNeurons,
        alignment_neurons,
        language_activity,
        lape,
        largest_weight,
        masked_perplexities,
        stages,
    )
    from ranvier.interpret.language_models.perplexities import log_perplexity, perplexity
    from ranvier.interpret.language_models.weight_decoding import (
        FeatureNeurons,
        clamped_lift,
        feature_neurons,
        output_embedding,
        persistence,
    )
    from ranvier.interpret.layers import UnitLayer, layer
    from ranvier.interpret.mlp_blocks import MLP, mlps
    from ranvier.interpret.paths import NeuronPaths, PathScores, baseline_paths, neuron_paths, path_overlap, path_scores
    from ranvier.interpret.recording import activations
    from ranvier.interpret.sparse_features import (
        SparseAutoencoder,
        Spectrum,
        best_window,
        difference_spectrum,
        feature_lift,
        fit_autoencoder,
        language_shift,
    )
    from ranvier.interpret.stored_activations import Activations, read_activations
    from ranvier.interpret.top_examples import Exemplars, exemplars
    from ranvier.interpret.visualisation import FACETS, Facets, Stage, facets, maximise

_HOMES = {
    "ranvier.interpret.bricks": [
        "Brick", "enrichment", "functional_neurons", "partition", "plugged", "predictivity", "route",
    ],
    "ranvier.interpret.captions": [
        "Captioner", "Description", "concept_overlap", "describe", "fit_captioner", "pooled_features", "token_f1",
    ],
    "ranvier.interpret.language_models.checkpoints": ["read_model", "store_model", "stored_models"],
    "ranvier.interpret.editing": ["Edit", "edit"],
    "ranvier.interpret.language_models.evaluators": ["Evaluation", "Review", "evaluate"],
    "ranvier.interpret.language_models.graphs": [
        "ActivationGraphs", "activation_graphs", "merge_selections", "select_texts",
    ],
    "ranvier.interpret.language_models.languages": [
        "LanguageActivity", "LanguageNeurons", "alignment_neurons", "language_activity", "lape", "largest_weight",
        "masked_perplexities", "stages",
    ],
    "ranvier.interpret.layers": ["UnitLayer", "layer"],
    "ranvier.interpret.mlp_blocks": ["MLP", "mlps"],
    "ranvier.interpret.paths": [
        "NeuronPaths", "PathScores", "baseline_paths", "neuron_paths", "path_overlap", "path_scores",
    ],
    "ranvier.interpret.language_models.perplexities": ["log_perplexity", "perplexity"],
    "ranvier.interpret.recording": ["activations"],
    "ranvier.interpret.stored_activations": ["Activations", "read_activations"],
    "ranvier.interpret.sparse_features": [
        "SparseAutoencoder", "Spectrum", "best_window", "difference_spectrum", "feature_lift", "fit_autoencoder",
        "language_shift",
    ],
    "ranvier.interpret.top_examples": ["Exemplars", "exemplars"],
    "ranvier.interpret.visualisation": ["FACETS", "Facets", "Stage", "facets", "maximise"],
    "ranvier.interpret.language_models.weight_decoding": [
        "FeatureNeurons", "clamped_lift", "feature_neurons", "output_embedding", "persistence",
    ],
}  # fmt: skip

__all__ = [
    "FACETS",
    "MLP",
    "ActivationGraphs",
    "Activations",
    "Brick",
    "Captioner",
    "Description",
    "Edit",
    "Evaluation",
    "Exemplars",
    "Facets",
    "FeatureNeurons",
    "LanguageActivity",
    "LanguageNeurons",
    "NeuronPaths",
    "PathScores",
    "Review",
    "SparseAutoencoder",
    "Spectrum",
    "Stage",
    "UnitLayer",
    "activation_graphs",
    "activations",
    "alignment_neurons",
    "baseline_paths",
    "best_window",
    "clamped_lift",
    "concept_overlap",
    "describe",
    "difference_spectrum",
    "edit",
    "enrichment",
    "evaluate",
    "exemplars",
    "facets",
    "feature_lift",
    "feature_neurons",
    "fit_autoencoder",
    "fit_captioner",
    "functional_neurons",
    "language_activity",
    "language_shift",
    "lape",
    "largest_weight",
    "layer",
    "log_perplexity",
    "masked_perplexities",
    "maximise",
    "merge_selections",
    "mlps",
    "neuron_paths",
    "output_embedding",
    "partition",
    "path_overlap",
    "path_scores",
    "perplexity",
    "persistence",
    "plugged",
    "pooled_features",
    "predictivity",
    "read_activations",
    "read_model",
    "route",
    "select_texts",
    "stages",
    "store_model",
    "stored_models",
    "token_f1",
]  # fmt: skip

if not TYPE_CHECKING:  # with it a type checker would take any misspelt name
    __getattr__, __dir__ = attributes(__name__, _HOMES)
