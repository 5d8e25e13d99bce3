"""TESS: a learning rule that is local in time and in space."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ranvier.learners.counting import rows_of
from ranvier.learners.labelled import Encode, GradientLearner, name
from ranvier.learners.local._layers import LayerSynapses, advance, arriving, begin, own_synapses, require_finite_states
from ranvier.learners.local._readout import Readout, check_leak
from ranvier.learners.losses import check_labels
from ranvier.nn.spiking.layer import DynamicalLayer
from ranvier.nn.spiking.lif import LI

Basis = Callable[[int, int], Tensor]


def square_waves(classes: int, n: int) -> Tensor:
    """(classes, n): B_ck = sign(sin(f_c k))/n, k = 0 .. n − 1, f_c evenly from 50 to 512: TESS's fixed feedback.

    Examples
    --------
    >>> import ranvier as rv
    >>> rv.learners.square_waves(3, 8).shape
    torch.Size([3, 8])
    """
    frequencies = torch.linspace(50.0, 512.0, classes, dtype=torch.float64)
    return torch.sign(torch.sin(frequencies[:, None] * torch.arange(n, dtype=torch.float64))) / n


class TESS(GradientLearner):
    """Temporally and spatially local learning (Apolinario, Roy & Frenkel 2025, arXiv 2502.01837).

    Step by step, with no graph and no memory of earlier steps but two traces a layer, every layer of neurons
    changes its weights by its own quantities:

        x̄ ← lambda_pre x̄ + x               of its input x, which counts as given (no gradient goes back)
        e_ij = alpha_pre Ψ_i x̄_j + alpha_post Ψ̄_i x_j,     Ψ the surrogate's slope at u_i
        Ψ̄ ← lambda_post Ψ̄ + Ψ              after use: Ψ̄ is that of the step before
        m = Bᵀ(softmax(B s) − onehot(label))    of the layer's spikes s, B fixed (`square_waves`)
        Δw_ij = −rate Σ_t m_i e_ij           by way of the optimizer

    A layer of feature maps pools s to `pool` × `pool` before B, and m is spread back over the pooled places.
    The readout, the last module (an `LI`, or an nn.Linear), has its own error softmax(y) − onehot(label) and
    the trace of its leak; its gradient is exact.

    The state held is that of one step, whatever T. x may be a tensor (T, B, ...) or any iterable of steps
    (B, ...), so that not even the input need be held.

    Parameters
    ----------
    model : a `rv.nn.Sequential` of layers such as `LIF`, with their own weights or after an nn.Linear or
        nn.Conv2d, modules without parameters between them, and the readout. Only weights and biases learn.
        The paper standardises weights (`rv.learners.standardise`) and uses beta = .5, threshold = .6, and the
        slopes (1 + 100|u − threshold|)^−2 for linear, .3 max(0, 1 − |u − threshold|) for convolutional layers.
    optimizer : a torch optimizer over the model's parameters; Adam at 1e-3 in the paper.
    lambda_post, lambda_pre, alpha_post, alpha_pre : the rule; the paper's values for still images, and
        alpha_post = 0 for event cameras.
    basis : (classes, n) -> B.
    pool : side to which feature maps are pooled; one for all layers of neurons, or one for each.
    encode, clip : as for `BPTT`.

    >>> _ = torch.manual_seed(0)
    >>> model = rv.nn.Sequential(rv.nn.LIF(4, 16, beta=0.5, threshold=0.6), rv.nn.LI(16, 2))
    >>> learner = rv.learners.TESS(model, torch.optim.Adam(model.parameters(), 0.01))
    >>> batch = torch.eye(4).expand(5, 4, 4), torch.tensor([0, 0, 1, 1])
    >>> losses = [learner.step(batch)["loss"] for _ in range(20)]
    >>> losses[-1] < losses[0]
    True
    """

    counted: ClassVar[bool] = True

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        lambda_post: float = 0.2,
        lambda_pre: float = 0.5,
        alpha_post: float = 1.0,
        alpha_pre: float = 1.0,
        basis: Basis = square_waves,
        pool: int | Sequence[int] = 4,
        encode: Encode | None = None,
        clip: float | None = None,
    ) -> None:
        for label, decay in (("lambda_post", lambda_post), ("lambda_pre", lambda_pre)):
            if not 0 <= decay <= 1:
                raise ValueError(f"{label} is {decay}; expected a decay per step within [0, 1]")
        rule = {
            "lambda_post": lambda_post, "lambda_pre": lambda_pre, "alpha_post": alpha_post, "alpha_pre": alpha_pre,
            "pool": pool if isinstance(pool, int) else list(pool),
        }  # fmt: skip
        super().__init__(model, optimizer, encode=encode, clip=clip, settings={**rule, "basis": name(basis)})
        self.lambda_post, self.lambda_pre = lambda_post, lambda_pre
        self.alpha_post, self.alpha_pre = alpha_post, alpha_pre
        self.basis, self.pool = basis, pool
        self.classes = _readout(model).out_features
        #: bytes of the states and traces that the last batch needed, whatever its number of steps
        self.held_bytes = 0
        self._bases: dict[tuple[int, torch.dtype, torch.device], Tensor] = {}

    @torch.no_grad()
    def _learn(self, x: Iterable[Tensor], labels: Tensor) -> tuple[float, float]:
        run = self._run(x, labels, learn=True)
        with torch.enable_grad():
            for synapses in run.synapses():
                synapses.leave(1.0 / (run.steps * len(labels)))
        return run.scores(labels)

    def _measure(self, x: Iterable[Tensor], labels: Tensor) -> tuple[float, float]:
        return self._run(x, labels, learn=False).scores(labels)

    def _run(self, x: Iterable[Tensor], labels: Tensor, *, learn: bool) -> _TessRun:
        with torch.enable_grad():  # a standardised weight keeps the way to its parameters
            run = _TessRun(self.model, self)
        for row in x:
            if run.steps == 0:
                labels = check_labels(row.new_empty(1, len(row), self.classes), labels)
            run.step(row, labels, learn)
        held = run.held()
        self.held_bytes = sum(t.numel() * t.element_size() for t in held)
        if run.steps == 0:
            raise ValueError("there is no step in x; expected (T, B, ...) with T > 0")
        require_finite_states(held)
        return run

    def signal(self, s: Tensor, labels: Tensor, layer: DynamicalLayer, pool: int) -> Tensor:
        """m (B, N...): the learning signal of a layer with spikes s (B, N...)."""
        pooled = s if s.ndim == 2 else F.adaptive_avg_pool2d(s, pool)
        flat = pooled.flatten(1)
        if (counted := rows_of(layer)) is not None:
            counted.signals.fan(flat, self.classes)
            counted.signals.multiply(flat.numel() * self.classes)
        key = (flat.shape[1], s.dtype, s.device)
        if key not in self._bases:
            self._bases[key] = self.basis(self.classes, flat.shape[1]).to(s)
        B = self._bases[key]
        m = _error(flat @ B.T, labels) @ B
        if s.ndim == 2:
            return m
        with torch.enable_grad():
            stage_input = s.detach().requires_grad_()
            return torch.autograd.grad(F.adaptive_avg_pool2d(stage_input, pool), stage_input, m.view_as(pooled))[0]


def _error(y: Tensor, labels: Tensor) -> Tensor:
    return torch.softmax(y, 1) - F.one_hot(labels, y.shape[1]).to(y.dtype)


def _readout(model: nn.Module) -> Any:
    last: Any = model[-1] if isinstance(model, nn.Sequential) and len(model) else None
    leaky = isinstance(last, LI) and last.linear is not None
    if not (leaky or isinstance(last, nn.Linear)):
        raise ValueError(
            f"there is {type(model).__name__} ending in {type(last).__name__}; expected a "
            "rv.nn.Sequential that ends in "
            "a readout: rv.nn.LI(n, classes) or nn.Linear(n, classes)"
        )
    if leaky:
        check_leak(last)
    return last


class _TessRun:
    """One batch on its way through the model: the states and traces of one step."""

    def __init__(self, model: Any, rule: TESS) -> None:
        self.rule = rule
        self.parts: list[Any] = []
        modules = list(model)
        layers = sum(isinstance(module, DynamicalLayer) for module in modules[:-1])
        pools = [rule.pool] * layers if isinstance(rule.pool, int) else list(rule.pool)
        if len(pools) != layers:
            raise ValueError(f"there are {len(pools)} sides in pool; expected one, or {layers}: one a layer of neurons")
        waiting: LayerSynapses | None = None
        for k, module in enumerate(modules):
            final = k == len(modules) - 1
            if isinstance(module, nn.Linear | nn.Conv2d) and not final:
                waiting = _alone(waiting, module)
                self.parts.append(waiting)
            elif isinstance(module, DynamicalLayer) and not final:
                self.parts.append(_Layer(module, waiting, pools.pop(0)))
                waiting = None
            elif final:
                _alone(waiting, None)
                self.parts.append(Readout(module))
            elif any(True for _ in module.parameters()):
                raise ValueError(
                    f"there are {type(module).__name__} with parameters; expected nn.Linear, "
                    "nn.Conv2d, layers of neurons "
                    "and modules without parameters: TESS has no rule for others"
                )
            else:
                self.parts.append(module)
        self.steps, self.loss = 0, 0.0
        self.votes: Tensor | None = None

    def synapses(self) -> list[LayerSynapses]:
        parts_held = [s for part in self.parts if isinstance(part, _Layer) for s in part.learning]
        return [*parts_held, *(part.synapses for part in self.parts if isinstance(part, Readout))]

    def held(self) -> list[Tensor]:
        """All that goes from one step to the next."""
        parts_held: list[Any] = [self.votes]
        for part in self.parts:
            if isinstance(part, _Layer):
                parts_held += [*(part.state or {}).values(), *part.traces, part.post]
            elif isinstance(part, Readout):
                parts_held += part.held()
        return [t for t in parts_held if isinstance(t, Tensor)]

    def step(self, x: Tensor, labels: Tensor, learn: bool) -> None:
        if not bool(torch.isfinite(x).all()):
            raise ValueError(f"there are values in x at step {self.steps} that are not finite; expected finite input")
        stage_input = x  # what the synapses that wait for their neurons were given
        for part in self.parts:
            if isinstance(part, LayerSynapses):
                stage_input, x = x, part(x)
            elif isinstance(part, _Layer):
                x = part.step(x, stage_input, labels, self.rule, learn)
            elif isinstance(part, Readout):
                x = part.step(x)
                self.loss += float(F.cross_entropy(x, labels))
                if learn:
                    part.collect(_error(x, labels))
            else:
                x = part(x)
        self.votes = x if self.votes is None else self.votes + x
        self.steps += 1

    def scores(self, labels: Tensor) -> tuple[float, float]:
        assert self.votes is not None
        right = float((self.votes.argmax(1) == labels).double().mean())
        return self.loss / self.steps, right


def _alone(waiting: LayerSynapses | None, module: Any) -> LayerSynapses | None:
    if waiting is not None:
        raise ValueError("there are two weights without neurons between them; expected a layer such as rv.nn.LIF")
    return None if module is None else LayerSynapses(module)


class _Layer:
    """Neurons with their synapses and traces."""

    def __init__(self, layer: DynamicalLayer, before: LayerSynapses | None, pool: int) -> None:
        self.layer, self.pool = layer, pool
        own = own_synapses(layer)
        self.input = own[0] if layer.linear is not None else before
        self.inner = layer.linear is not None
        self.recurrent = own[-1] if layer.recurrent is not None else None
        self.learning = [s for s in (self.input, self.recurrent) if s is not None]
        self.state: Any = None
        self.traces: list[Tensor] = []
        self.post: Tensor | float = 0.0
        self.ones = 0.0  # a bias's presynaptic trace

    def step(self, x: Tensor, stage_input: Tensor, labels: Tensor, rule: TESS, learn: bool) -> Tensor:
        layer = self.layer
        pre = [x if self.inner else stage_input] if self.input is not None else []
        current = self.input(x) if self.inner and self.input is not None else x
        if self.state is None:
            self.state = begin(layer, current)
        if self.recurrent is not None:
            pre.append(arriving(layer, self.state))
            current = current + self.recurrent(pre[-1])
        self.state, s, distance = advance(layer, self.state, current)
        if not learn or not self.learning:
            return s
        if distance is None:
            raise ValueError(
                f"there is {type(layer).__name__} before the readout; "
                "expected layers of neurons that spike"
            )
        if not self.traces:
            self.traces = [torch.zeros_like(p) for p in pre]
        psi, m = layer.surrogate.slope(distance), rule.signal(s, labels, layer, self.pool)
        causal, late = _times(rule.alpha_pre, m, psi), _times(rule.alpha_post, m, self.post)
        self.ones = rule.lambda_pre * self.ones + 1.0
        for synapses, p, trace in zip(self.learning, pre, self.traces, strict=True):
            trace.mul_(rule.lambda_pre).add_(p)
            if causal is not None:
                synapses.collect(causal, trace, self.ones)
            if late is not None:
                synapses.collect(late, p)
        self.post = rule.lambda_post * self.post + psi
        if (counted := rows_of(layer)) is not None:
            products = 1 + (causal is not None) + (late is not None)  # the trace of psi among them
            counted.signals.multiply(products * psi.numel() + sum(p.numel() for p in pre))
        return s


def _times(alpha: float, m: Tensor, slope: Tensor | float) -> Tensor | None:
    if not alpha:
        return None
    return m * slope if alpha == 1 else alpha * (m * slope)


__all__ = ["TESS", "square_waves"]
