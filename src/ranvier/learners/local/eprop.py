"""e-prop: eligibility traces times learning signals."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ranvier.learners.labelled import Encode, GradientLearner, Loss, name
from ranvier.learners.local._eligibility import EligibilityFilter
from ranvier.learners.local._layers import is_parametrized, require_finite_states, require_own_weight
from ranvier.learners.local._readout import Readout, check_leak
from ranvier.learners.losses import accuracy, membrane_cross_entropy
from ranvier.nn.checks import require_finite
from ranvier.nn.spiking.layer import DynamicalLayer
from ranvier.nn.spiking.lif import LI

_FEEDBACKS = ("symmetric", "random", "adaptive")


class EProp(GradientLearner):
    """e-prop (Bellec, Scherr et al. 2020): dE/dW_ij ≈ Σ_t L_i[t] ē_ij[t], forward in time, for any spiking layer.

    e_ij is the eligibility trace of a neuron's own dynamics (membrane, synaptic current, adaptation; exact, see
    `Eligibility`), ē_ij its low-pass by the readout's leak, L_i[t] = Σ_k B_ik ∂E/∂y_k[t] the learning signal.
    What BPTT has and e-prop leaves out is how a neuron's spike reaches the loss by way of other neurons. The
    readout's gradient is exact.

    Parameters
    ----------
    model : a `rv.nn.Sequential` of one recurrent or feed-forward layer with its own weights, such as
        `LIF(n, m, recurrent=True, adaptation=(rho, kappa))`, and a readout `LI(m, classes)`; with random
        feedback of several such layers, each with its own B.
    optimizer : a torch optimizer over the model's parameters.
    loss : a mean over steps, of y (T, B, C) and labels.
    last : how many steps at the end count in the loss; default all.
    feedback : "symmetric": B is the readout's weight; "random": fixed, normal with deviation 1/√C; "adaptive":
        random at first, then changed as the readout is, both with `decay` a step (Kolen & Pollack 1994).
    decay : of readout and feedback, for "adaptive".
    rate, rate_strength : also minimise rate_strength/2 Σ_i (f_i − rate)², f_i being the layer's spikes a step,
        averaged over steps and batch; its learning signal is local.
    encode, clip : as for `BPTT`.

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> model = rv.nn.Sequential(rv.nn.LIF(4, 6, recurrent=True), rv.nn.LI(6, 2))
    >>> learner = rv.learners.EProp(model, torch.optim.Adam(model.parameters(), 0.01))
    >>> learner.step((torch.rand(10, 8, 4), torch.arange(8) % 2))["examples"]
    8
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        loss: Loss = membrane_cross_entropy,
        last: int | None = None,
        feedback: str = "symmetric",
        decay: float = 1e-2,
        rate: float = 0.0,
        rate_strength: float = 0.0,
        encode: Encode | None = None,
        clip: float | None = None,
    ) -> None:
        if feedback not in _FEEDBACKS:
            raise ValueError(f"feedback is {feedback!r}; expected one of {', '.join(_FEEDBACKS)}")
        self.layers, self.readout = _parts(model)
        if feedback != "random" and len(self.layers) > 1:
            raise ValueError(
                f'there are {len(self.layers)} layers before the readout; expected one, or feedback="random"'
            )
        settings = {
            "loss": name(loss), "last": last, "feedback": feedback, "decay": decay, "rate": rate,
            "rate_strength": rate_strength,
        }  # fmt: skip
        super().__init__(model, optimizer, encode=encode, clip=clip, settings=settings)
        self.loss, self.last, self.feedback, self.decay = loss, last, feedback, decay
        self.rate, self.rate_strength = rate, rate_strength
        if feedback != "symmetric":
            like, sizes = self._readout_weight(), [layer.linear.out_features for layer in self.layers if layer.linear]
            self._own["feedback"] = [
                torch.randn(len(like), n, dtype=like.dtype, device=like.device) / len(like) ** 0.5 for n in sizes
            ]

    def step(self, batch: tuple[Tensor, Tensor]) -> dict[str, float]:
        """Learn from one batch (x, labels (B,))."""
        weight = self._readout_weight()
        before = weight.detach().clone()
        metrics = super().step(batch)
        if self.feedback == "adaptive":
            with torch.no_grad():
                (B,) = self._own["feedback"]
                B.add_(weight - before).mul_(1 - self.decay)
                weight.mul_(1 - self.decay)
        return metrics

    def _readout_weight(self) -> Tensor:
        assert self.readout.linear is not None
        return self.readout.linear.weight

    @torch.no_grad()
    def _learn(self, x: Tensor, labels: Tensor) -> tuple[float, float]:
        steps, counted = len(x), self._counted(x)
        like = self.layers[0].linear.weight  # type: ignore[union-attr]
        if x.shape[2] != like.shape[1] or x.dtype != like.dtype:
            raise ValueError(
                f"x has shape {tuple(x.shape)} and {x.dtype}; expected (T, B, {like.shape[1]}) of {like.dtype}"
            )
        require_finite(x)
        traces = [EligibilityFilter(layer) for layer in self.layers]
        states: list[Any] = [layer.init_state(x.shape[1]) for layer in self.layers]
        readout = Readout(self.readout)
        feedbacks = [readout.synapses.weight] if self.feedback == "symmetric" else self._own["feedback"]
        low: list[list[Any]] = [[0.0] * len(readout.decays) for _ in self.layers]
        sums = [torch.zeros_like(trace.weights) for trace in traces]
        rate_sums = [torch.zeros_like(trace.weights) for trace in traces]
        rates = [0.0 * trace.weights[:, 0] for trace in traces]
        outputs, total = [], 0.0
        for t in range(steps):
            z = x[t]
            eligible = []
            for k, trace in enumerate(traces):
                states[k], z, e = trace.step(states[k], z)
                if self.rate_strength:
                    rate_sums[k] += e.sum(0)
                    rates[k] += z.sum(0)
                for n, leak in enumerate(readout.decays):
                    e = low[k][n] = leak * low[k][n] + e
                eligible.append(e)
            y = readout.step(z)
            if t < steps - counted:
                continue
            outputs.append(y)
            loss, error = self._error(y, labels)
            total += loss / counted
            error = error / counted
            readout.collect(error)
            for k, e in enumerate(eligible):
                sums[k] += torch.einsum("bn,bnm->nm", error @ feedbacks[k], e)
        require_finite_states(value for state in states for value in state.values())
        for k, (layer, trace) in enumerate(zip(self.layers, traces, strict=True)):
            many = steps * x.shape[1]
            excess = self.rate_strength * (rates[k] / many - self.rate)
            _leave(layer, trace.split(sums[k] + excess[:, None] * rate_sums[k] / many))
        readout.synapses.leave(1.0)
        return total, accuracy(torch.stack(outputs), labels)

    def _measure(self, x: Tensor, labels: Tensor) -> tuple[float, float]:
        y, _ = self.model(x)
        y = y[len(y) - self._counted(x) :]
        return float(self.loss(y, labels)), accuracy(y, labels)

    def _counted(self, x: Tensor) -> int:
        if x.ndim != 3 or len(x) == 0:
            raise ValueError(f"x has shape {tuple(x.shape)}; expected (T, B, N) with T > 0")
        return len(x) if self.last is None else min(self.last, len(x))

    def _error(self, y: Tensor, labels: Tensor) -> tuple[float, Tensor]:
        with torch.enable_grad():
            leaf = y.detach()[None].requires_grad_()
            loss = self.loss(leaf, labels)
            return loss.item(), torch.autograd.grad(loss, leaf)[0][0]


def _parts(model: nn.Module) -> tuple[list[DynamicalLayer], LI]:
    parts: list[Any] = list(model) if isinstance(model, nn.Sequential) else []
    fit = len(parts) > 1 and all(isinstance(p, DynamicalLayer) and p.linear is not None for p in parts)
    if not (fit and isinstance(parts[-1], LI)) or any(isinstance(p, LI) for p in parts[:-1]):
        raise ValueError(
            f"the value is {model!r}; "
            "expected a rv.nn.Sequential of spiking layers with weights, then rv.nn.LI"
        )
    if any(is_parametrized(p.linear) for p in parts):
        raise ValueError("there are parametrized weights; expected plain ones")
    for p in parts:
        require_own_weight(p.linear)
    check_leak(parts[-1])
    return parts[:-1], parts[-1]


def _leave(layer: DynamicalLayer, gradients: dict[str, Tensor]) -> None:
    linear: Any = layer.linear
    places = {"weight": linear.weight, "bias": linear.bias, "recurrent": layer.recurrent}
    for label, gradient in gradients.items():
        if places[label].requires_grad:
            places[label].grad = gradient.contiguous()


__all__ = ["EProp"]
