"""Clusters of neurons and the stimuli that tell them apart, optimised together (Burg et al. 2024)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ranvier._checks import count, positive

#: stimuli (K, ...) -> mean responses (K, N), with gradients
Respond = Callable[[Tensor], Tensor]
TRIES = 3  # random pairs from which each cluster is divided
FLOOR = 0.1  # least scale of a neuron's responses, as a share of the median neuron's


@dataclass(frozen=True, eq=False)
class StimulusClusters:
    """K clusters, each with the stimulus that drives it and not the others.

    stimuli: (K, ...). labels: (N,), the cluster of each neuron. objective: mean over clusters of J_c, of log K at most;
    0 by chance. history: (what was done, clusters, objective) after each round of splitting and dropping.
    Returned by `cluster_by_stimuli`.
    """

    stimuli: NDArray[np.float64]
    labels: NDArray[np.int64]
    objective: float
    history: list[tuple[str, int, float]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.stimuli)


def normalise_responses(respond: Respond, reference: ArrayLike | Tensor) -> Respond:
    """The same model with each neuron's responses less their mean over the stimuli `reference` (M, ...), in units of
    their deviation, which is at least a tenth of the median neuron's.

    >>> reference = torch.tensor([[0.0], [1.0], [2.0]])
    >>> respond = rv.analysis.stimuli.normalise_responses(lambda x: 5 * x + 3, reference)
    >>> [round(v, 3) for v in respond(reference).flatten().tolist()]
    [-1.0, 0.0, 1.0]
    """
    with torch.no_grad():
        r = respond(torch.as_tensor(reference, dtype=torch.float32))
    shift, spread = r.mean(0), r.std(0)
    scale = spread.clamp_min(FLOOR * float(spread.median())) + 1e-6
    return lambda x: (respond(x) - shift) / scale


def cluster_by_stimuli(
    respond: Respond, shape: tuple[int, ...], *, norm: float, start: int = 5, temperature: float = 1.6,
    rounds: int = 10, steps: int = 50, least: int = 1, worth: float = 2 / 3, most: int = 50, rate: float = 0.1,
    split: bool = True, drop: bool = True, seed: int = 0,
) -> StimulusClusters:  # fmt: skip
    """Clusters of neurons and a stimulus for each, from `start` random stimuli.

    By turns, the stimuli ascend J_c = r̄_c/T − log Σ_k exp(r̄_k/T) + log K, with r̄_k the mean response of cluster k
    to the stimulus of cluster c and T = `temperature`, and each neuron goes to the stimulus that drives it most;
    clusters of fewer than `least` neurons are dropped. Then each cluster is parted in two, and each is left out, for a
    try, until nothing changes. A cluster more is kept if it raises the mean J by `worth` of log(K + 1) − log K, which
    is what a cluster gains that differs from all others; one that gains less is dropped. (In the paper any gain is
    enough, worth=0, with which the errors of twins divide kinds.)

    respond: stimuli (K, *shape) -> normalised responses (K, N), differentiable: of twins, by `normalise_responses`.
    norm: Euclidean length of a stimulus, as the contrast that can be shown. rounds: of each optimisation, at most.
    steps: of ascent a round, by Adam with step `rate` times the stimuli's root mean square. Raises ValueError where a
    response is not finite.

    >>> def respond(stimuli):  # two kinds of neurons, each driven by its own pixel
    ...     return stimuli[:, [0, 0, 0, 1, 1, 1]]
    >>> clusters = rv.analysis.stimuli.cluster_by_stimuli(respond, (2,), norm=5.0, start=2, rounds=3, steps=10)
    >>> len(clusters), len(set(clusters.labels[:3])), len(set(clusters.labels[3:]))
    (2, 1, 1)
    """
    for name, value in {"start": start, "rounds": rounds, "steps": steps, "least": least, "most": most}.items():
        count(value, name, 1)
    positive(temperature, "temperature"), positive(norm, "norm"), positive(rate, "rate")
    search = _Ascent(respond, shape, norm, temperature, rate, steps, least, worth)
    generator = torch.Generator().manual_seed(seed)
    stimuli = search.project(torch.randn(start, *shape, generator=generator))
    state = search.alternate(stimuli, rounds)
    history = [("start", len(state.stimuli), state.objective)]
    for _ in range(most):
        better = search.split(state, generator) if split and len(state.stimuli) < most else None
        what = "split"
        if better is None and drop:
            better, what = search.without_one(state), "drop"
        if better is None:
            break
        state = search.alternate(better.stimuli, rounds)
        history.append((what, len(state.stimuli), state.objective))
    labels = np.asarray(state.labels.numpy(), np.int64)
    return StimulusClusters(state.stimuli.double().numpy(), labels, state.objective, history)


@dataclass(frozen=True)
class _Partition:
    stimuli: Tensor
    labels: Tensor
    objective: float


@dataclass(frozen=True)
class _Ascent:
    respond: Respond
    shape: tuple[int, ...]
    norm: float
    temperature: float
    rate: float
    steps: int
    least: int
    worth: float

    def project(self, stimuli: Tensor) -> Tensor:
        flat = stimuli.flatten(1)
        return (flat * (self.norm / flat.norm(dim=1, keepdim=True).clamp_min(1e-12))).reshape(stimuli.shape)

    def assign(self, stimuli: Tensor, among: Tensor | None = None) -> Tensor:
        """The stimulus that drives each neuron most, (N,)."""
        with torch.no_grad():
            r = self.respond(stimuli)
        if not bool(torch.isfinite(r).all()):
            raise ValueError("respond gives NaN or infinity; expected finite responses (K, N): look at the twins")
        return (r if among is None else r[:, among]).argmax(0)

    def objectives(self, stimuli: Tensor, labels: Tensor, among: Tensor | None = None) -> Tensor:
        """J_c of each cluster, (K,)."""
        r = self.respond(stimuli)
        r = r if among is None else r[:, among]
        member = torch.nn.functional.one_hot(labels, len(stimuli)).to(r.dtype)
        mean = r @ member / member.sum(0).clamp_min(1.0) / self.temperature  # (stimulus, cluster)
        return mean.diagonal() - mean.logsumexp(1) + math.log(len(stimuli))

    def ascend(self, stimuli: Tensor, labels: Tensor, steps: int, among: Tensor | None = None) -> Tensor:
        x = stimuli.clone().requires_grad_()
        optimizer = torch.optim.Adam([x], self.rate * self.norm / math.sqrt(x[0].numel()))
        for _ in range(steps):
            optimizer.zero_grad()
            (-self.objectives(x, labels, among).sum()).backward()
            optimizer.step()
            with torch.no_grad():
                x.copy_(self.project(x))
        return x.detach()

    def prune(self, stimuli: Tensor) -> _Partition:
        """Without clusters that are too small, neurons reassigned to those that remain."""
        labels = self.assign(stimuli)
        while len(stimuli) > 1:
            sizes = torch.bincount(labels, minlength=len(stimuli))
            if int(sizes.min()) >= self.least:
                break
            keep = torch.arange(len(stimuli)) != int(sizes.argmin())
            stimuli = stimuli[keep]
            labels = self.assign(stimuli)
        with torch.no_grad():
            return _Partition(stimuli, labels, float(self.objectives(stimuli, labels).mean()))

    def alternate(self, stimuli: Tensor, rounds: int) -> _Partition:
        state = self.prune(stimuli)
        for _ in range(rounds):
            after = self.prune(self.ascend(state.stimuli, state.labels, self.steps))
            same = len(after.stimuli) == len(state.stimuli) and bool((after.labels == state.labels).all())
            state = after
            if same:
                break
        return state

    def split(self, state: _Partition, generator: torch.Generator) -> _Partition | None:
        """The best of the states with one cluster in two, where it is better than this one."""
        best: _Partition | None = None
        for k in range(len(state.stimuli)):
            members = torch.nonzero(state.labels == k)[:, 0]
            if len(members) < 2 * self.least or len(members) < 2:
                continue
            for _ in range(TRIES):
                halves = self._halves(members, generator)
                if halves is not None:
                    stimuli = torch.cat([state.stimuli, halves[0][1:]])
                    stimuli[k] = halves[0][0]
                    labels = state.labels.clone()
                    labels[members[halves[1] == 1]] = len(stimuli) - 1
                    best = self._better(stimuli, labels, state, best)
        return best

    def _halves(self, members: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor] | None:
        """Two stimuli that divide a cluster's neurons, and the half of each, from random ones, by turns of ascent and
        assignment; None where all go to one."""
        pair = self.project(torch.randn(2, *self.shape, generator=generator))
        with torch.no_grad():
            r = self.respond(pair)[:, members]
        order = (r[1] - r[0]).argsort()
        labels = torch.zeros(len(members), dtype=torch.int64)
        labels[order[len(order) // 2 :]] = 1  # half of them each, whichever drives them more
        for _ in range(10):
            if len(torch.unique(labels)) < 2:
                return None
            pair = self.ascend(pair, labels, 5, members)
            after = self.assign(pair, members)
            if bool((after == labels).all()):
                break
            labels = after
        return (pair, labels) if len(torch.unique(labels)) == 2 else None

    def without_one(self, state: _Partition) -> _Partition | None:
        """The best of the states that lack one cluster, where it is better than this one."""
        best: _Partition | None = None
        if len(state.stimuli) > 2:
            for k in range(len(state.stimuli)):
                rest = torch.cat([state.stimuli[:k], state.stimuli[k + 1 :]])
                best = self._better(rest, self.assign(rest), state, best)
        return best

    def _better(self, stimuli: Tensor, labels: Tensor, state: _Partition, best: _Partition | None) -> _Partition | None:
        after = self.prune(self.ascend(stimuli, labels, 20))
        change = self.worth * math.log(len(after.stimuli) / len(state.stimuli))
        bar = state.objective + change if best is None else best.objective
        return after if after.objective > bar + 1e-4 else best


__all__ = ["Respond", "StimulusClusters", "cluster_by_stimuli", "normalise_responses"]
