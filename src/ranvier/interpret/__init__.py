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
    from ranvier.interpret.layers import Layer, layer
    from ranvier.interpret.mlp_blocks import MLP, mlps
    from ranvier.interpret.recording import Activations, activations, read_activations
    from ranvier.interpret.top_examples import Exemplars, exemplars

_HOMES = {
    "ranvier.interpret.checkpoints": ["read_model", "store_model", "stored_models"],
    "ranvier.interpret.editing": ["Edit", "edit"],
    "ranvier.interpret.top_examples": ["Exemplars", "exemplars"],
    "ranvier.interpret.layers": ["Layer", "layer"],
    "ranvier.interpret.mlp_blocks": ["MLP", "mlps"],
    "ranvier.interpret.recording": ["Activations", "activations", "read_activations"],
}

__all__ = [
    "MLP", "Activations", "Edit", "Exemplars", "Layer", "activations", "edit", "exemplars", "layer", "mlps",
    "read_activations", "read_model", "store_model", "stored_models",
]  # fmt: skip

__getattr__, __dir__ = attributes(__name__, _HOMES)
