"""Node perturbation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ranvier.learners._chains import require_layer_input, weight_gradient, weighted
from ranvier.learners._outputs import output_of
from ranvier.learners.counting import meet, rows_of
from ranvier.learners.perturbation._directional import DirectionalLearner


class NodePerturbation(DirectionalLearner):
    """Noise on every neuron's input, and each example's change of loss times it (Le Cun, Galland & Hinton 1988; Werfel,
    Xie & Seung 2005): ĝ = (L(z + σξ) − L(z − σξ))/2σ · ξ xᵀ, mean over the batch and over `samples`.

    To first order in σ, E[ĝ] is the gradient; of one example with |x| = 1 at each layer E|ĝ − g|² = (n + 1)|g|²/samples
    for n neurons, however many synapses they have.

    model : nn.Linear and nn.Conv1d to Conv3d, each called once, and parts without weights; output (B, C).
    loss : a mean over examples. optimizer, encode, clip, accuracy : as for `BPTT`. sigma : σ. No backward pass is made.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 2))
    >>> optimizer = torch.optim.SGD(model.parameters(), 0.01)
    >>> learner = rv.learners.NodePerturbation(model, torch.nn.functional.cross_entropy, optimizer)
    >>> learner.step((torch.rand(8, 4), torch.arange(8) % 2))["examples"]
    8
    """

    def _accept(self, model: nn.Module) -> None:
        self.layers = weighted(model, "node perturbation")

    @torch.no_grad()
    def _learn(self, x: Tensor, labels: Tensor) -> tuple[float, float | None]:
        self._require(x)
        begun = torch.get_rng_state()
        inputs: dict[str, tuple[Tensor, Tensor]] = {}

        def keep(key: str, layer_input: Tensor, z: Tensor) -> Tensor:
            inputs[key] = (layer_input, z)
            return z

        y = self._pass(x, keep)
        value = self.loss(y, labels)
        right = None if self.accuracy is None else self.accuracy(y, labels)
        for _ in range(self.samples):
            noise = {key: torch.randn_like(z) for key, (_, z) in inputs.items()}
            drawn = torch.get_rng_state()
            losses = []
            for sigma in (self.sigma, -self.sigma):
                torch.set_rng_state(begun)  # dropout's choice is the same in every pass
                y = self._pass(x, _adding(noise, sigma))
                losses.append(torch.stack([self.loss(y[k : k + 1], labels[k : k + 1]) for k in range(len(y))]))
            torch.set_rng_state(drawn)
            slope = (losses[0] - losses[1]) / (2 * self.sigma * self.samples * len(x))
            for key, layer in self.layers.items():
                self._add(layer, inputs[key][0], slope, noise[key])
        return value.item(), right

    def _add(self, layer: Any, x: Tensor, slope: Tensor, noise: Tensor) -> None:
        weight, bias = weight_gradient(layer, x, slope.reshape(-1, *[1] * (noise.ndim - 1)) * noise)
        for p, g in ((layer.weight, weight), (layer.bias, bias)):
            if p is not None and p.requires_grad:
                p.grad = g if p.grad is None else p.grad + g
        if (counted := rows_of(layer)) is not None:
            counted.signals.multiply(noise.numel())
            meet(counted.gradients, layer, x)

    def _pass(self, x: Tensor, change: Callable[[str, Tensor, Tensor], Tensor]) -> Tensor:
        """The output (B, C), each layer's own z being changed by change(name, input, z)."""
        met: set[str] = set()

        def hook(key: str) -> Any:
            def add(layer: Any, args: tuple[Tensor, ...], z: Tensor) -> Tensor:
                if key in met:
                    raise ValueError(f"{key} is called twice; expected once: which of its inputs would learn?")
                met.add(key)
                return change(key, args[0], z)

            return add

        hooks = [layer.register_forward_hook(hook(key)) for key, layer in self.layers.items()]
        try:
            y = output_of(self.model, x)
        finally:
            for h in hooks:
                h.remove()
        if y.ndim != 2 or len(y) != len(x):
            raise ValueError(f"the output has shape {tuple(y.shape)}; expected ({len(x)}, C): one row an example")
        return y

    def _require(self, x: Tensor) -> None:
        require_layer_input(x, self.layers)


def _adding(noise: dict[str, Tensor], sigma: float) -> Callable[[str, Tensor, Tensor], Tensor]:
    return lambda key, _, z: z + sigma * noise[key]


__all__ = ["NodePerturbation"]
