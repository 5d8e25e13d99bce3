"""Node perturbation of spiking neurons, in the compiled engine."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from ranvier.engines import simulate
from ranvier.learners._checked_state import CheckedState
from ranvier.learners.counting import rows_of
from ranvier.learners.fitting.loop import Metrics
from ranvier.learners.labelled import name, pair_of
from ranvier.networks import Network, Population, Projection, TimeSeries

Reward = Callable[[Tensor, Tensor], Tensor]
#: what a spike of weight 1 brings in mV·ms; a delta synapse's area is tau_m, its neuron's
_AREAS = {"Delta": "tau_m", "Exponential": None, "Alpha": None, "BiExponential": None}


class SpikingNodePerturbation(CheckedState):
    """Reward-modulated node perturbation of a `Network` (Fiete & Seung 2006; Werfel, Xie & Seung 2005).

    Every neuron onto which `projections` lead has noise added to its drive, constant in each of a trial's bins, known
    to its synapses: a synapse remembers e_ij = Σ_bins ξ_i s_j, s_j the mean current in mV that spikes of j bring with a
    weight of 1. Reward R comes at the end, and w_ij ← w_ij + rate · ΔR/σ · e_ij, mean over the trials of a batch. What
    multiplies e_ij is what tells a neuron whether its noise was good: with `paired`, ΔR is half the difference of the
    rewards of two runs, of noise σξ and −σξ, that are alike in all else; otherwise the reward of one less the average
    of those before, of memory .9. As σ → 0, and for bins long beside the neurons' and synapses' time constants, the
    mean change is the gradient of the expected reward.

    Trials of a batch follow each other in one simulation, `pause` ms apart, in which the input's drive is 0.

    Parameters
    ----------
    net : its projections' weights are changed in place. projections : those that learn, each of weights that are a
        tensor (edges,), and a filtered or delta synapse of area weights.
    inputs : the population that a batch's x drives; outputs : whose spikes the reward is of.
    reward : of spike counts (B, outputs) of the trials and labels (B,): (B,), more being better.
    rate : of learning. sigma : σ, mV. trial, bin, pause, dt : ms. bounds : of weights.
    seed : of the simulations' noise; the k-th step has the seed `seed` + k.

    A batch is (x (B, inputs) in mV, labels (B,)). Metrics: loss, minus the mean reward without or over both signs of
    the noise; reward; spikes of an output neuron in a trial. Noise is drawn from torch's random numbers.

    >>> net = rv.Network()
    >>> inputs, cell = net.add(rv.LIF(), 2, name="inputs"), net.add(rv.LIF(), 1, name="cell")
    >>> weight = torch.ones(2, dtype=torch.float64)
    >>> joined = net.connect(inputs, cell, weight=weight, probability=1.0, synapse=rv.Exponential(tau=5.0))
    >>> reward = lambda counts, labels: counts[:, 0]
    >>> learner = rv.learners.SpikingNodePerturbation(net, [joined], inputs, cell, reward, rate=0.1)
    >>> learner.describe()["sigma"]  # mV
    1.0
    """

    counts_itself: ClassVar[bool] = True

    def __init__(
        self, net: Network, projections: Sequence[Projection], inputs: Population, outputs: Population, reward: Reward,
        *, rate: float, sigma: float = 1.0, trial: float = 200.0, bin: float | None = None, pause: float = 50.0,
        dt: float = 0.5, bounds: tuple[float, float] = (-math.inf, math.inf), paired: bool = True, seed: int = 0,
    ) -> None:  # fmt: skip
        bin = trial if bin is None else bin
        positive = {"rate": rate, "sigma": sigma, "trial": trial, "bin": bin, "dt": dt}
        for label, value in positive.items():
            if not 0 < value < math.inf:
                raise ValueError(f"{label} is {value}; expected a finite number > 0")
        for label, value, unit in (("trial", trial, bin), ("pause", pause, dt), ("bin", bin, dt)):
            if value < 0 or abs(value / unit - round(value / unit)) > 1e-9:
                raise ValueError(f"{label} is {value} ms; expected a whole number of {unit} ms, its step")
        if not projections:
            raise ValueError("projections is empty; expected one at least, which learns")
        for p in projections:
            _require_learnable(net, p)
        if not bounds[0] < bounds[1]:
            raise ValueError(f"bounds are {bounds}; expected the lower one first")
        self.net, self.projections, self.inputs, self.outputs = net, list(projections), inputs, outputs
        self.reward, self.rate, self.sigma, self.trial, self.bin, self.pause = reward, rate, sigma, trial, bin, pause
        self.dt, self.bounds, self.paired, self.seed = dt, bounds, paired, seed
        self.steps, self.average = 0, 0.0
        self._perturbed: list[Population] = []
        for p in projections:
            if not any(p.target is known for known in self._perturbed):
                self._perturbed.append(p.target)
        for population in (inputs, *self._perturbed):
            if isinstance(population.parameters["drive"], TimeSeries):
                raise ValueError(f"the drive of {population.name} is a TimeSeries; expected one that is constant")

    def step(self, batch: tuple[Tensor, Tensor]) -> Metrics:
        """Learn from one batch of trials. ValueError for x of another shape, or rewards that are not finite."""
        x, labels = self._checked(batch)
        bins = round(self.trial / self.bin)
        noise = [torch.randn(len(x), bins, p.size, dtype=torch.float64) for p in self._perturbed]
        signs = (1.0, -1.0) if self.paired else (1.0,)
        seed = self.seed + self.steps
        runs = [self._run(x, labels, [s * self.sigma * n for n in noise], seed) for s in signs]
        if self.paired:
            difference = (runs[0][0] - runs[1][0]) / 2
        else:
            difference = runs[0][0] - (self.average if self.steps else runs[0][0].mean())
        mean = float(torch.stack([r for r, _ in runs]).mean())
        for p in self.projections:
            _, xi = next((q, n) for q, n in zip(self._perturbed, noise, strict=True) if q is p.target)
            sources, targets = p.edges()
            currents = torch.stack([self._currents(p, counts) for _, counts in runs]).mean(0)
            signal = (difference[:, None, None] * xi).flatten(0, 1)  # (trials · bins, targets)
            if (rows := rows_of(self)) is not None:
                rows.signals.multiply(signal.numel())
                rows.gradients.multiply(len(signal) * p.size)
            change = (signal.T @ currents.flatten(0, 1))[targets, sources]
            weight: Any = p.weight
            change *= self.rate / (self.sigma * len(x))
            weight.detach().copy_((weight.detach().double() + change).clamp(*self.bounds))
        self.average = mean if not self.steps else 0.9 * self.average + 0.1 * mean
        self.steps += 1
        return self._metrics(mean, runs[0][1], len(x))

    def evaluate(self, batch: tuple[Tensor, Tensor]) -> Metrics:
        """Reward without perturbation, in a run of the network's own noise."""
        x, labels = self._checked(batch)
        rewards, counts = self._run(x, labels, [], self.seed + 10**6)
        return self._metrics(float(rewards.mean()), counts, len(x))

    def _metrics(self, mean: float, counts: Tensor, trials: int) -> Metrics:
        spikes = float(counts[..., self._places(self.outputs)].sum(1).mean())
        return {"loss": -mean, "reward": mean, "spikes": spikes, "examples": trials}

    def _places(self, population: Population) -> slice:
        return slice(population.start, population.start + population.size)

    def _run(self, x: Tensor, labels: Tensor, noise: list[Tensor], seed: int) -> tuple[Tensor, Tensor]:
        """Rewards (B,), and spike counts (B, bins, neurons) of the whole network."""
        before = {id(p): p.parameters["drive"] for p in (self.inputs, *self._perturbed)}
        length = round((self.trial + self.pause) / self.dt)
        quiet, width = round(self.pause / self.dt), round(self.bin / self.dt)
        drives: dict[int, tuple[Population, Tensor]] = {}
        for population in (self.inputs, *(self._perturbed if noise else [])):
            drives[id(population)] = population, torch.zeros(len(x), length, population.size, dtype=torch.float64)
        drives[id(self.inputs)][1][:, quiet:] += x.double()[:, None]
        for population, values in zip(self._perturbed, noise, strict=False):
            drives[id(population)][1][:, quiet:] += values.repeat_interleave(width, 1)
        try:
            for key, (population, values) in drives.items():
                if population is not self.inputs:
                    values += torch.as_tensor(before[key], dtype=torch.float64)
                self.net.set(population, drive=TimeSeries(values.flatten(0, 1), self.dt))
            recording = simulate(self.net, len(x) * length * self.dt, dt=self.dt, seed=seed)
        finally:
            for population in (self.inputs, *self._perturbed):
                self.net.set(population, drive=before[id(population)])
        step = torch.round(recording.times.double() / self.dt).long() - 1
        if (rows := rows_of(self)) is not None:
            spikes = torch.bincount(recording.neurons.long(), minlength=self.net.size)
            for p in self.net.projections:
                fan = torch.bincount(p.edges()[0], minlength=p.source.size)
                rows.forward.synops += int((spikes[self._places(p.source)] * fan).sum())
            rows.forward.updates += self.net.size * len(x) * length
        trial, within = step // length, step % length - quiet
        bins = round(self.trial / self.bin)
        place = (trial * bins + within.clamp(min=0) // width) * self.net.size + recording.neurons.long()
        counted = torch.bincount(place[within >= 0], minlength=len(x) * bins * self.net.size)
        counts = counted.reshape(len(x), bins, self.net.size).double()
        rewards = torch.as_tensor(self.reward(counts[..., self._places(self.outputs)].sum(1), labels)).double()
        if rewards.shape != (len(x),) or not bool(torch.isfinite(rewards).all()):
            raise ValueError(f"reward has shape {tuple(rewards.shape)}; expected ({len(x)},), finite: one a trial")
        return rewards, counts

    def _currents(self, projection: Projection, counts: Tensor) -> Tensor:
        """Mean current (B, bins, sources) in mV that spikes bring with a weight of 1; a delta synapse's for a target's
        mean tau_m."""
        spikes = counts[..., self._places(projection.source)] / self.bin
        if type(projection.synapse).__name__ == "Delta":
            return spikes * float(torch.as_tensor(projection.target.parameters["tau_m"]).double().mean())
        return spikes

    def _checked(self, batch: Any) -> tuple[Tensor, Tensor]:
        x, labels = pair_of(batch)
        if not isinstance(x, Tensor) or not isinstance(labels, Tensor):
            raise TypeError(f"the batch is of {type(x).__name__} and {type(labels).__name__}; expected two tensors")
        if x.ndim != 2 or x.shape != (len(labels), self.inputs.size) or not bool(torch.isfinite(x).all()):
            raise ValueError(f"x has shape {tuple(x.shape)}; expected finite ({len(labels)}, {self.inputs.size}) in mV")
        return x, labels

    def describe(self) -> dict[str, Any]:
        """Populations, projections, and settings."""
        settings = {k: getattr(self, k) for k in ("rate", "sigma", "trial", "bin", "pause", "dt", "paired", "seed")}
        learning = [f"{p.source.name} -> {p.target.name}, {p.size}" for p in self.projections]
        populations = [f"{p.name}: {p.size} {p.neuron!r}" for p in self.net.populations]
        return {
            "learner": "SpikingNodePerturbation", "populations": populations, "learning": learning,
            "bounds": [repr(float(b)) for b in self.bounds], "reward": name(self.reward), **settings,
        }  # fmt: skip

    def state_dict(self) -> dict[str, Any]:
        """Weights that learn, steps taken, the average reward."""
        weights = [torch.as_tensor(p.weight).detach().clone() for p in self.projections]
        return {"weights": weights, "steps": self.steps, "average": self.average}

    def _take_up(self, state: dict[str, Any]) -> None:
        if state["steps"] < 0:
            raise ValueError(f"state.steps is {state['steps']}; expected a number of batches")
        for p, values in zip(self.projections, state["weights"], strict=True):
            weight: Any = p.weight
            weight.detach().copy_(values)
        self.steps, self.average = state["steps"], state["average"]


def _require_learnable(net: Network, projection: Projection) -> None:
    label = f"the projection {projection.source.name} -> {projection.target.name}"
    if not any(projection is known for known in net.projections):
        raise ValueError(f"{label} is not the network's; expected one that net.connect(...) returned")
    if not isinstance(projection.weight, Tensor):
        raise ValueError(f"{label} has the weight {projection.weight}; expected a tensor (edges,), which can learn")
    synapse = projection.synapse
    if type(synapse).__name__ not in _AREAS or getattr(synapse, "normalise", "area") == "peak":
        raise ValueError(f"{label} has the synapse {synapse!r}; expected {', '.join(_AREAS)}, with area weights")
    if projection.plasticity is not None:
        raise ValueError(f"{label} has plasticity of its own; expected none: rewards change its weights")


__all__ = ["SpikingNodePerturbation"]
