"""The Tolman-Eichenbaum machine (Whittington et al. 2020)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import elu, nll_loss

from ranvier._checks import count
from ranvier.worlds.checks import require_walk
from ranvier.worlds.memory import HebbianMemory, connections, leaky_clamp

FREQUENCIES = (0.99, 0.3, 0.09, 0.03, 0.01)


class TEMSteps(NamedTuple):
    """What a walk of T steps in B environments leaves: predictions as log-probabilities (T, B, stimuli).

    predicted : of the next observation, from the code before it and the action alone. recalled : from the inferred code
    and memory. read : from what was inferred. path, inferred : abstract codes g (T, B, G), by path integration alone
    and corrected. places : p (T, B, P), inferred. retrieved, recognised : p from memory, by the code and by the
    stimulus.

    >>> model = rv.worlds.TEM(5, 4, modules=(4, 3), code=4)
    >>> walk = rv.worlds.GridWorld(3, 3, stimuli=5).walk(6, 2)
    >>> steps = model.run(walk.observations, walk.actions)
    >>> tuple(steps.predicted.shape), tuple(steps.inferred.shape)  # G is three times the modules' 7 units
    ((6, 2, 5), (6, 2, 21))
    """

    predicted: Tensor
    recalled: Tensor
    read: Tensor
    path: Tensor
    inferred: Tensor
    places: Tensor
    retrieved: Tensor
    recognised: Tensor


class TEM(nn.Module):
    """Structure g and stimuli x, bound to p = f(g ⊗ x) in a Hebbian memory (Whittington et al. 2020; torch_tem).

    Generative pass: g ← clamp(g + g D_a), with weights from slower to faster modules; p = attractor(g) from memory;
    x from p. Inference: x filtered at each module's frequency, p_x = attractor(x), g from p_x and from the path,
    each weighted by its precision, p = f(g ⊗ x). Losses: what is predicted of x by all three ways, and agreement of
    the g and of the p of both passes, which come in over `warmup` updates.

    stimuli : number of different ones. actions : number of actions. modules : units of g that memory uses, a module,
    from fast to slow; g has `expansion` times as many. code : units of a stimulus, two of which are active.

    >>> model = rv.worlds.TEM(5, 4, modules=(4, 3), code=4)
    >>> walk = rv.worlds.GridWorld(3, 3, stimuli=5).walk(6, 2)
    >>> p = model(walk.observations, walk.actions).exp()
    >>> tuple(p.shape), bool(torch.allclose(p.sum(2), torch.ones(6, 2), atol=1e-5))
    ((6, 2, 5), True)
    """

    two_hot: Tensor
    updates: Tensor
    mask: Tensor
    chosen: Tensor

    def __init__(
        self, stimuli: int = 45, actions: int = 4, *, modules: Sequence[int] = (10, 10, 8, 6, 6), expansion: int = 3,
        code: int = 10, frequencies: Sequence[float] | None = None, warmup: int = 2000, forgetting: float = 0.9999,
        rate: float = 0.5, decay: float = 0.8, seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.stimuli, self.actions = count(stimuli, "stimuli", 2), count(actions, "actions", 1)
        if math.comb(count(code, "code", 2), 2) < stimuli:
            raise ValueError(f"code is {code}: {math.comb(code, 2)} pairs; expected one a stimulus, {stimuli} of them")
        if not isinstance(modules, Sequence) or not modules or min(modules) < 1:
            raise ValueError(f"modules is {modules}; expected a number of units for each, from fast to slow")
        self.sizes, self.code, self.warmup = tuple(modules), code, count(warmup, "warmup")
        frequencies = _spread(len(self.sizes)) if frequencies is None else tuple(frequencies)
        if len(frequencies) != len(self.sizes) or not all(0 < f < 1 for f in frequencies):
            raise ValueError(f"frequencies is {frequencies}; expected one within (0, 1) a module: {len(self.sizes)}")
        self.forgetting, self.rate, self.decay = forgetting, rate, decay
        self.large = tuple(expansion * m for m in self.sizes)
        size, steps = sum(self.large), len(self.sizes)
        random = torch.Generator().manual_seed(seed)
        pairs = list(itertools.combinations(range(code), 2))[:stimuli]
        two_hot = torch.zeros(stimuli, code)
        two_hot[torch.arange(stimuli)[:, None], torch.tensor(pairs)] = 1.0
        self.register_buffer("two_hot", two_hot)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.register_buffer("mask", connections(self.large))
        starts = _starts(self.large)
        chosen = [torch.arange(start, start + m) for m, start in zip(self.sizes, starts, strict=True)]
        self.register_buffer("chosen", torch.cat(chosen))
        self.early = tuple(steps - k for k in range(steps))  # attractor steps of each module in generation
        self.transition = nn.Parameter(torch.randn(actions, size, size, generator=random) * 0.3 / size**0.5)
        self.start = nn.Parameter(0.5 * torch.randn(size, generator=random))
        self.start_deviation = nn.Parameter(0.5 * torch.randn(size, generator=random))
        self.filters = nn.Parameter(torch.logit(torch.tensor(frequencies)))
        self.gains = nn.Parameter(torch.ones(steps))
        self.read_gain, self.read_offset = nn.Parameter(torch.ones(())), nn.Parameter(torch.zeros(code))
        hidden = tuple(2 * g for g in self.large)
        self.path_deviation = _Blocks(self.large, hidden, self.large, torch.tanh, random)
        self.code_from_memory = _Blocks(self.sizes, hidden, self.large, elu, random, scale=0.1)
        self.memory_deviation = _Blocks((2,) * steps, hidden, self.large, torch.tanh, random)
        self.decoder = _Blocks((code,), (20 * code,), (stimuli,), elu, random)

    def run(self, observations: Tensor, actions: Tensor) -> TEMSteps:
        """Both passes along walks, observations (T, B) and actions (T, B) of whole numbers."""
        require_walk(observations, actions, self.stimuli, self.actions)
        batch = observations.shape[1]
        blocks = tuple(m * self.code for m in self.sizes)
        known = HebbianMemory(forgetting=self.forgetting, rate=self.rate, modules=blocks)  # by the code
        recognised = HebbianMemory(forgetting=self.forgetting, rate=self.rate)  # by the stimulus
        weights, filters = self.transition * self.mask, torch.sigmoid(self.filters)
        filtered = self.transition.new_zeros(batch, len(self.sizes), self.code)
        g, steps = self.start.expand(batch, -1), []
        for t, labels in enumerate(observations):
            if t:
                path = (g + moved(g, weights, actions[t - 1])).clamp(-1, 1)
                deviation = self.path_deviation(g).exp()
            else:
                path, deviation = g, self.start_deviation.exp().expand(batch, -1)
            filtered = filtered + filters[:, None] * (self.two_hot[labels][:, None] - filtered)
            x = self._input(filtered)
            p_x = recognised.attractor(leaky_clamp(x), decay=self.decay, steps=len(self.sizes))
            g = self._corrected(path, deviation, p_x, labels)
            p = leaky_clamp(self._repeated(g) * x)
            queries = torch.stack([self._repeated(g), self._repeated(path)], 1)
            p_g, p_path = known.attractor(queries, decay=self.decay, steps=self.early).unbind(1)
            known, recognised = known.store(p, p_g), recognised.store(p, p_x)
            steps.append((self._stimulus(p_path), self._stimulus(p_g), self._stimulus(p), path, g, p, p_g, p_x))
        return TEMSteps(*(torch.stack(part) for part in zip(*steps, strict=True)))

    def forward(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Log-probabilities (T, B, stimuli) of each stimulus, from what came before it and the action."""
        return self.run(observations, actions).predicted

    def loss(self, observations: Tensor, actions: Tensor) -> Tensor:
        """The mean over steps and environments of the weighted losses (see the class)."""
        steps = self.run(observations, actions)
        labels = observations.flatten()
        ramp = min(1.0, (int(self.updates) + 1) / self.warmup) if self.warmup else 1.0
        x = sum(nll_loss(part.flatten(0, 1), labels) for part in (steps.predicted, steps.recalled, steps.read))

        def distance(a: Tensor, b: Tensor) -> Tensor:
            return (a - b).square().sum(-1).mean()

        agreement = distance(steps.places, steps.retrieved) + distance(steps.places, steps.recognised)
        agreement = agreement + distance(steps.inferred, steps.path)
        small = 0.01 * steps.inferred.square().sum(-1).mean()
        sparse = 0.02 * (1 - min(1.0, ramp / 2)) * steps.places.abs().sum(-1).mean()
        return x + ramp * agreement + small + sparse

    def after_step(self) -> None:
        """Count an update."""
        self.updates.add_(1)

    def _input(self, filtered: Tensor) -> Tensor:
        """Filtered stimuli (B, modules, code), normalised and repeated for each unit of g: (B, P)."""
        y = torch.relu(filtered - filtered.mean(2, keepdim=True))
        y = y / y.norm(dim=2, keepdim=True).clamp(min=1e-6) * torch.sigmoid(self.gains)[:, None]
        return torch.cat([y[:, k].repeat(1, m) for k, m in enumerate(self.sizes)], 1)

    def _repeated(self, g: Tensor) -> Tensor:
        """The units of g that memory uses, each repeated for every unit of a stimulus: (B, P)."""
        return g[:, self.chosen].repeat_interleave(self.code, 1)

    def _stimulus(self, p: Tensor) -> Tensor:
        """Log-probabilities of stimuli (B, stimuli), from the fastest module."""
        fast = p[:, : self.sizes[0] * self.code].unflatten(1, (self.sizes[0], self.code)).sum(1)
        return self.decoder(self.read_gain * fast + self.read_offset).log_softmax(1)

    def _corrected(self, path: Tensor, deviation: Tensor, p_x: Tensor, labels: Tensor) -> Tensor:
        """g from the path and from what memory recognises, weighted by their precisions."""
        sums = p_x.unflatten(1, (-1, self.code)).sum(2)
        g = self.code_from_memory(sums)
        with torch.no_grad():
            guess = self._stimulus(p_x).exp()
            error = (guess - nn.functional.one_hot(labels, self.stimuli)).square().sum(1)
        norms = torch.stack([part.square().sum(1) for part in g.split(self.large, 1)], 1)
        quality = torch.stack([norms, error[:, None].expand_as(norms)], 2).flatten(1)
        from_path, from_memory = deviation**-2, (-2 * self.memory_deviation(quality)).exp()
        return (path * from_path + g.clamp(-1, 1) * from_memory) / (from_path + from_memory)


def moved(g: Tensor, weights: Tensor, actions: Tensor) -> Tensor:
    """g_b W_a(b): codes (B, G), weights (A, G, G), actions (B,) -> (B, G), by products of all with all."""
    choices = (g @ weights.transpose(0, 1).flatten(1)).unflatten(1, weights.shape[::2])
    return choices[torch.arange(len(g)), actions]


class _Blocks(nn.Module):
    """A two-layer perceptron a module, side by side: products with blocks of one weight matrix."""

    first: Tensor
    first_bias: Tensor
    first_mask: Tensor
    second: Tensor
    second_bias: Tensor
    second_mask: Tensor

    def __init__(
        self, sizes: Sequence[int], hidden: Sequence[int], outputs: Sequence[int],
        activation: Callable[[Tensor], Tensor], random: torch.Generator, scale: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.activation = activation
        for name, (a, b) in {"first": (sizes, hidden), "second": (hidden, outputs)}.items():
            mask, rows, columns = torch.zeros(sum(a), sum(b)), _starts(a), _starts(b)
            for m, n, r, c in zip(a, b, rows, columns, strict=True):
                deviation = (2 / (m + n)) ** 0.5 if scale is None or name == "first" else scale
                mask[r : r + m, c : c + n] = deviation
            weight = torch.randn(sum(a), sum(b), generator=random) * mask
            self.register_buffer(f"{name}_mask", (mask > 0).float())
            self.register_parameter(name, nn.Parameter(weight))
            self.register_parameter(f"{name}_bias", nn.Parameter(torch.zeros(sum(b))))

    def forward(self, x: Tensor) -> Tensor:
        h = self.activation(x @ (self.first * self.first_mask) + self.first_bias)
        return h @ (self.second * self.second_mask) + self.second_bias


def _starts(sizes: Sequence[int]) -> list[int]:
    return [0, *itertools.accumulate(sizes)][:-1]


def _spread(modules: int) -> tuple[float, ...]:
    """The paper's frequencies, continued by powers where there are more modules."""
    return tuple(FREQUENCIES[k] if k < len(FREQUENCIES) else 0.01 * 0.3 ** (k - 4) for k in range(modules))


__all__ = ["TEM", "TEMSteps", "moved"]
