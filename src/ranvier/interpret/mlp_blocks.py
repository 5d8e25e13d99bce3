"""The MLP blocks of transformers, of whatever make: the neurons between what reads the residual and what writes it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor, nn

from ranvier.interpret.layers import UnitLayer

#: names of (gate, up, down) below a block, of Llama, Gemma, Qwen, Mistral; GPT-2; OPT, ViT, CLIP; GPT-NeoX, Falcon;
#: T5 gated and plain; BERT and its kin; PyTorch's own encoder
PATTERNS: tuple[tuple[str, str, str], ...] = (
    ("gate_proj", "up_proj", "down_proj"),
    ("wi_0", "wi_1", "wo"),
    ("", "c_fc", "c_proj"),
    ("", "fc1", "fc2"),
    ("", "dense_h_to_4h", "dense_4h_to_h"),
    ("", "wi", "wo"),
    ("", "intermediate.dense", "output.dense"),
    ("", "linear1", "linear2"),
)
_ACTIVATIONS = ("act_fn", "activation_fn", "act", "intermediate.intermediate_act_fn", "activation")


@dataclass(frozen=True)
class MLP:
    """One MLP block: neuron n has the activation a_n = f(gate_n·x) (up_n·x), or f(up_n·x) without a gate, and adds
    a_n times its output weights to the residual stream.

    `kind` names the activation: "SwiGLU", "GeGLU" and other gated ones, "GELU", "ReLU" ...; "?" where the block has
    it as a plain function.

    >>> encoder = torch.nn.TransformerEncoder(torch.nn.TransformerEncoderLayer(16, 2, 64, batch_first=True), 1)
    >>> block = rv.interpret.mlps(encoder)[0]
    >>> block.size, block.kind, tuple(block.read_weights.shape)
    (64, 'ReLU', (64, 16))
    """

    block: str
    up: nn.Module
    down: nn.Module
    gate: nn.Module | None
    kind: str

    @cached_property
    def neurons(self) -> UnitLayer:
        """The neurons' activations: what the output projection receives."""
        return UnitLayer(f"{self.block}:neurons", self.down, "input")

    @cached_property
    def layers(self) -> tuple[UnitLayer, ...]:
        """The neurons, and the projections that make them (before the activation function)."""
        gate = () if self.gate is None else (UnitLayer(f"{self.block}:gate", self.gate),)
        return (self.neurons, *gate, UnitLayer(f"{self.block}:up", self.up))

    @property
    def size(self) -> int:
        """The number of neurons."""
        return int(self.write_weights.shape[0])

    @property
    def read_weights(self) -> Tensor:
        """What each neuron reads from the residual stream: the up projection's rows, (neurons, width)."""
        return _rows(self.up)

    @property
    def gate_weights(self) -> Tensor:
        """The gate's rows, (neurons, width); ValueError for an MLP without a gate."""
        if self.gate is None:
            raise ValueError(f"MLP {self.block} has no gate ({self.kind}); expected a gated one: take read_weights.")
        return _rows(self.gate)

    @property
    def write_weights(self) -> Tensor:
        """What each neuron adds to the residual stream: the down projection's columns, (neurons, width)."""
        return _rows(self.down).T


def mlps(model: nn.Module) -> tuple[MLP, ...]:
    """The MLP blocks of a model, in its own order.

    Raises
    ------
    ValueError
        where there are none: mixtures of experts and blocks with gate and up in one matrix are not read.

    Examples
    --------
    >>> from torch import nn
    >>> from ranvier.interpret import mlps
    >>> [mlp.block for mlp in mlps(nn.TransformerEncoderLayer(8, 2, 16))]
    ['layer']
    """
    blocks = []
    for name, module in model.named_modules():
        for gate, up, down in PATTERNS:
            modules = [_submodule(module, one) for one in (up, down)]
            gating = _submodule(module, gate) if gate else None
            if all(_matrix(one) for one in modules) and (not gate or _matrix(gating)):
                reader, writer = modules
                assert reader is not None and writer is not None  # for mypy: _matrix says so
                if _rows(reader).shape[0] == _rows(writer).shape[1]:
                    kind = _kind(module, gated=bool(gate))
                    blocks.append(MLP(name or "layer", reader, writer, gating, kind))
                    break
    if not blocks:
        patterns = ", ".join("/".join(filter(None, pattern)) for pattern in PATTERNS)
        raise ValueError(
            f"{type(model).__name__} has no MLP block that is known here; expected modules {patterns}: name a layer "
            "of its modules instead."
        )
    return tuple(blocks)


def _submodule(module: nn.Module, name: str) -> nn.Module | None:
    for piece in name.split("."):
        child = module._modules.get(piece)
        if child is None:
            return None
        module = child
    return module


def _matrix(module: nn.Module | None) -> bool:
    weight = getattr(module, "weight", None)
    return isinstance(weight, Tensor) and weight.ndim == 2


def _rows(module: nn.Module) -> Tensor:
    """The weight as (out, in); transformers' Conv1D holds it the other way round."""
    weight: Tensor = module.weight  # type: ignore[assignment]
    return weight.T if type(module).__name__ == "Conv1D" else weight


def _kind(module: nn.Module, gated: bool) -> str:
    for name in _ACTIVATIONS:
        function = _submodule(module, name) or getattr(module, name, None)
        if function is not None:
            break
    else:
        return "?"
    text = getattr(function, "__name__", type(function).__name__).lower()
    for word, plain, gate in (("silu", "SiLU", "SwiGLU"), ("gelu", "GELU", "GeGLU"), ("relu", "ReLU", "ReGLU")):
        if word in text:
            return gate if gated else plain
    return f"gated {text}" if gated else text


__all__ = ["MLP", "mlps"]
