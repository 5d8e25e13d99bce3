"""Pre-synaptic pool modification: a recurrent network learns to fire when a reference does."""

from __future__ import annotations

from functools import cache
from math import inf
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ranvier.learners._checked_state import CheckedState
from ranvier.learners.fitting.loop import Metrics
from ranvier.learners.labelled import constants, pair_of
from ranvier.nn.spiking.layer import DynamicalLayer


def pair(reference: Tensor, model: Tensor, furthest: int) -> tuple[Tensor, Tensor]:
    """Which spikes (T, N) of two rasters have no partner: (unmatched in reference, in model), both (T, N) bool.

    Neuron by neuron the cheapest order-preserving alignment: a pair costs its distance in steps, at most
    `furthest`, a spike without partner furthest + 1 (an edit distance).
    """
    if reference.shape != model.shape or reference.ndim != 2:
        raise ValueError(
            f"rasters have shape {tuple(reference.shape)} and {tuple(model.shape)}; "
            "expected the same (T, N)"
        )
    a, b = (np.ascontiguousarray(raster.detach().bool().numpy()) for raster in (reference, model))
    missing, surplus = np.zeros_like(a), np.zeros_like(b)
    _kernels()[0](a, b, furthest, missing, surplus)
    return torch.from_numpy(missing), torch.from_numpy(surplus)


def spike_distance(a: Tensor, b: Tensor, *, sharpness: float = 0.005) -> float:
    """Mean over steps and neurons of the squared difference of two rasters (T, ...), each spike spread over
    neighbouring steps as exp(−sharpness τ²).

    Examples
    --------
    >>> import torch
    >>> import ranvier as rv
    >>> spikes = torch.zeros(10, 2)
    >>> rv.learners.spike_distance(spikes, spikes)
    0.0
    """
    from scipy.signal import fftconvolve

    reach = int(np.ceil(np.sqrt(40.0 / sharpness)))  # beyond it a spike's share is below 1e-17
    kernel = np.exp(-sharpness * np.arange(-reach, reach + 1.0) ** 2)
    difference = (a.detach().double() - b.detach().double()).flatten(1).numpy()
    return float(np.square(fftconvolve(difference, kernel[:, None], "same", axes=0)).mean())


class PSPM(CheckedState):
    """Pre-synaptic pool modification (Bagley, Bordelon, Moseley & Wessel 2018, arXiv 1810.03199).

    A batch is (x, reference): input (T, B, N) and the spikes (T, B, N) of a reference network under that input.
    The layer runs; its spikes and the reference's are paired (`pair`). For a spike too many of neuron i, every
    weight from a neuron that fired within the `window` steps before loses step · U{0 .. levels − 1}; for one
    that is missing it gains as much. Then each neuron's weights gain homeostasis · (spikes of the reference −
    spikes of the layer), and no weight changes the sign of its source (Dale). The furthest a pair may lie apart
    begins at `furthest` − 1 and falls by one every `every` batches. No gradient is used.

    Parameters
    ----------
    layer : recurrent neurons, such as `rv.nn.LIF(400, recurrent=True, reset="zero")`; only `recurrent` learns.
    step, homeostasis : in the units of the layer's weights.
    signs : (N,) of +1 and −1, one a source; default: from the sums of the weights that leave it.
    shuffled : the control: the same changes, on synapses drawn at random.

    Metrics: distance (`spike_distance`, before the change), unmatched (the share of spikes without partner).

    >>> layer = rv.nn.LIF(5, recurrent=True, reset="zero")
    >>> learner = rv.learners.PSPM(layer, step=0.01)
    >>> x = torch.full((20, 1, 5), 0.3)
    >>> metrics = learner.evaluate((x, layer(x)[0].detach()))
    >>> metrics["unmatched"]  # beside its own spikes all have a partner
    0.0
    """

    def __init__(
        self,
        layer: DynamicalLayer,
        *,
        step: float,
        levels: int = 10,
        window: int = 15,
        homeostasis: float = 0.0,
        furthest: int = 15,
        every: int = 15,
        signs: Tensor | None = None,
        shuffled: bool = False,
    ) -> None:
        if getattr(layer, "recurrent", None) is None:
            raise ValueError(
                f"the value is {layer!r}; "
                "expected a layer with recurrent=True: its weights are what is learned"
            )
        if not (step > 0 and levels >= 2 and window >= 1 and furthest >= 1 and every >= 1 and abs(homeostasis) < inf):
            raise ValueError(
                f"step is {step}, levels is {levels}, window is {window}, furthest is {furthest}, every is {every}, "
                f"homeostasis = {homeostasis}; expected step > 0, levels >= 2, a finite homeostasis and the others >= 1"
            )
        self.layer, self.step_size, self.levels, self.window = layer, step, levels, window
        self.homeostasis, self.furthest, self.every, self.shuffled = homeostasis, furthest, every, shuffled
        self.signs = torch.sign(self._weight.sum(0)) if signs is None else torch.as_tensor(signs)
        if self.signs.shape != (layer.out_features,) or not bool(((self.signs == 1) | (self.signs == -1)).all()):
            raise ValueError(f"signs have shape {tuple(self.signs.shape)}; expected +1 or -1, one a neuron")
        self.done = 0

    @property
    def _weight(self) -> Tensor:
        assert self.layer.recurrent is not None
        return self.layer.recurrent.detach()

    @property
    def reach(self) -> int:
        """How far apart a pair may lie now, in steps."""
        return max(0, self.furthest - 1 - self.done // self.every)

    def _run(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Metrics]:
        x, reference = pair_of(batch)
        with torch.no_grad():
            spikes, _ = self.layer(x)
        if reference.shape != spikes.shape or not bool(((reference == 0) | (reference == 1)).all()):
            raise ValueError(
                f"reference has shape {tuple(reference.shape)}; expected spikes {tuple(spikes.shape)}, of 0 and 1"
            )
        pairs = [pair(reference[:, b].cpu(), spikes[:, b].cpu(), self.reach) for b in range(x.shape[1])]
        missing, surplus = (torch.stack(side, 1) for side in zip(*pairs, strict=True))
        count = float(spikes.sum() + reference.sum())
        return missing, surplus, {
            "distance": spike_distance(reference, spikes),
            "unmatched": float(missing.sum() + surplus.sum()) / max(count, 1.0),
            "spikes": float(spikes.mean()),
            "examples": x.shape[1],
        } | {"_": spikes}  # type: ignore[dict-item]

    def step(self, batch: tuple[Tensor, Tensor]) -> Metrics:
        """Run a batch (x (T, B, N), reference (T, B, N)), pair, change the weights; ValueError for another shape."""
        missing, surplus, metrics = self._run(batch)
        spikes: Any = metrics.pop("_")
        weight = self._weight.double().cpu().numpy()
        seed = int(torch.randint(2**62, ()))
        for b in range(spikes.shape[1]):
            fired, late, early = (
                np.ascontiguousarray(raster[:, b].to(torch.int8).cpu().numpy()) for raster in (spikes, missing, surplus)
            )
            generator = np.random.default_rng([seed, b])
            _kernels()[1](
                weight, fired, late, early, self.window, self.step_size, self.levels, self.shuffled, generator
            )
        reference = batch[1]
        more = (reference.sum((0, 1)) - spikes.sum((0, 1))).double().cpu().numpy()
        weight += self.homeostasis * more[:, None]
        signs = self.signs.cpu().numpy()
        np.copyto(weight, 0.0, where=weight * signs < 0)
        self._weight.copy_(torch.from_numpy(weight))
        self.done += 1
        return metrics

    def evaluate(self, batch: tuple[Tensor, Tensor]) -> Metrics:
        """The metrics of a batch (x (T, B, N), reference (T, B, N)), without learning."""
        _, _, metrics = self._run(batch)
        metrics.pop("_")
        return metrics

    def describe(self) -> dict[str, Any]:
        """Layer and settings."""
        names = ("step_size", "levels", "window", "homeostasis", "furthest", "every", "shuffled")
        settings = {name: getattr(self, name) for name in names}
        layer = {"model": repr(self.layer), "constants": constants(self.layer)}
        return {"learner": "PSPM", **layer, "signs": self.signs.tolist(), **settings}

    def state_dict(self) -> dict[str, Any]:
        """Of the layer, and how many batches were learned from."""
        return {"model": dict(self.layer.state_dict()), "done": self.done}

    def _take_up(self, state: dict[str, Any]) -> None:
        self.layer.load_state_dict(state["model"])
        if state["done"] < 0:
            raise ValueError(f"state.done is {state['done']}; expected a number of batches")
        self.done = int(state["done"])


@cache
def _kernels() -> tuple[Any, Any]:
    from ranvier.codegen.compilation import compiled

    @compiled
    def align(a: Any, b: Any, furthest: int, missing: Any, surplus: Any) -> None:
        for i in range(a.shape[1]):
            s, r = np.flatnonzero(a[:, i]), np.flatnonzero(b[:, i])
            n, m = len(s), len(r)
            alone = furthest + 1
            cost = np.empty((n + 1, m + 1), np.int64)
            for p in range(n + 1):
                cost[p, 0] = alone * p
            for q in range(m + 1):
                cost[0, q] = alone * q
            for p in range(1, n + 1):
                for q in range(1, m + 1):
                    best = min(cost[p - 1, q], cost[p, q - 1]) + alone
                    apart = abs(s[p - 1] - r[q - 1])
                    if apart <= furthest:
                        best = min(best, cost[p - 1, q - 1] + apart)
                    cost[p, q] = best
            p, q = n, m
            while p > 0 or q > 0:
                if p > 0 and q > 0:
                    apart = abs(s[p - 1] - r[q - 1])
                    if apart <= furthest and cost[p, q] == cost[p - 1, q - 1] + apart:
                        p, q = p - 1, q - 1
                        continue
                if p > 0 and cost[p, q] == cost[p - 1, q] + alone:
                    p -= 1
                    missing[s[p], i] = True
                else:
                    q -= 1
                    surplus[r[q], i] = True

    @compiled
    def change(
        weight: Any, fired: Any, missing: Any, surplus: Any, window: int, step: float, levels: int, shuffled: bool,
        generator: Any,
    ) -> None:  # fmt: skip
        T, N = fired.shape
        recent = np.zeros(N, np.int64)  # how often each fired in the last `window` steps
        for t in range(T):
            for i in range(N):
                direction = missing[t, i] - surplus[t, i]
                if direction != 0:
                    for j in range(N):
                        if recent[j] > 0:
                            row, column = i, j
                            if shuffled:
                                row, column = generator.integers(0, N), generator.integers(0, N)
                            weight[row, column] += direction * step * generator.integers(0, levels)
            for j in range(N):
                recent[j] += fired[t, j]
                if t >= window:
                    recent[j] -= fired[t - window, j]

    return align, change


__all__ = ["PSPM", "pair", "spike_distance"]
