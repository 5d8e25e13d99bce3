"""A Neuroformer trained, scored and run forward."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ranvier._checks import count, positive
from ranvier.recordings.neuroformer.model import Neuroformer, Output
from ranvier.recordings.neuroformer.tokens import Windows

SHARES = (3 / 5, 2 / 5)  # of the loss of the neuron, and of its bin
PARTS = 4  # one of so many parts of the loss is the contrast
TEMPERATURE = 0.5


def train_neuroformer(
    model: Neuroformer, windows: Windows, *, epochs: int = 10, batch: int = 160, rate: float = 3e-3,
    decay: float = 0.01, spikes: float = 1.0, labels: float = 1.0, seed: int = 0,
) -> list[float]:  # fmt: skip
    """Train in place by AdamW, with warm-up and a cosine, on 3/5 of the cross-entropy of each next neuron and 2/5 of
    its bin's, ¾ of it, with ¼ contrast where the model aligns modalities; and the mean squared error of the labels that
    are not NaN, in units of their own deviation. Returns the mean loss of each epoch.

    spikes, labels: weights of the two; spikes=0 reads labels from spikes without forecasting these. Raises ValueError
    for windows that the model was not made for, and a loss that is not finite.

    >>> _ = torch.manual_seed(0)
    >>> steps = np.arange(10, 2000, 20)
    >>> session = rv.recordings.Session.from_times(steps, steps // 20 % 2, duration=2000.0)  # by turns
    >>> windows = rv.recordings.neuroformer.tokenise(session)
    >>> model = rv.recordings.neuroformer.Neuroformer(2, bins=5, past_bins=15, width=8)
    >>> losses = rv.recordings.neuroformer.train_neuroformer(model, windows, epochs=5, rate=0.01)
    >>> losses[-1] < losses[0]
    True
    """
    count(epochs, "epochs", 1), count(batch, "batch", 1), positive(rate, "rate")
    if not len(windows):
        raise ValueError("windows is empty; expected some to learn from")
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), rate, betas=(0.9, 0.95), weight_decay=decay)
    steps = epochs * -(-len(windows) // batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _pace(step, steps))
    scale = {name: _spread(windows.labels[name]) for name in model.read if name in windows.labels}
    mean = (windows.spikes / len(windows) + 1.0, max(windows.spikes / len(windows), 1e-9))
    history = []
    model.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # of dropout
        for _ in range(epochs):
            losses = []
            for rows in torch.randperm(len(windows), generator=generator).split(batch):
                part = windows[rows].trimmed()
                optimizer.zero_grad()
                loss = _loss(model, model(part), part, mean, scale, spikes, labels)
                if not bool(torch.isfinite(loss)):
                    raise ValueError(f"the loss is {loss.item()}; expected a finite one: look for NaN in the windows, "
                                     "or lower the rate")  # fmt: skip
                if loss.requires_grad:
                    loss.backward()
                    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                    optimizer.step()
                schedule.step()
                losses.append(loss.item())
            history.append(float(np.mean(losses)))
    model.eval()
    return history


def log_likelihood(model: Neuroformer, windows: Windows, *, batch: int = 500) -> NDArray[np.float64]:
    """Natural logarithm of the probability of each window's spikes, given what came before, (W,).

    The spikes of a window come in one order only, so that the products of each token's probabilities add up to 1 over
    all that may happen, but for those out of order, to which the model gives little: the value is a lower bound of
    a sorted model's. Divide by `windows.spikes` for nats a spike.

    >>> session = rv.recordings.Session.from_times([5.0, 60.0, 110.0], [0, 1, 0], duration=200.0)
    >>> windows = rv.recordings.neuroformer.tokenise(session, past=50.0)
    >>> model = rv.recordings.neuroformer.Neuroformer(2, bins=5, past_bins=5, width=8)
    >>> bool((rv.recordings.neuroformer.log_likelihood(model, windows) < 0).all())
    True
    """
    return np.concatenate([_scores(_say(model, part), part).double().numpy() for part in _pieces(windows, batch)])


def forecast(
    model: Neuroformer, windows: Windows, *, draws: int = 10, longest: int | None = None, seed: int = 0,
    batch: int = 500,
) -> NDArray[np.float64]:  # fmt: skip
    """Mean spike counts (W, N) of `draws` continuations of each window's past: what is in the windows is not read.

    Spike by spike: a bin, not before the last one's, and a neuron that has no spike in that bin, until the end comes,
    or `longest` spikes (None: those of the longest window and a half) are there.

    >>> session = rv.recordings.Session.from_times([5.0, 60.0, 110.0], [0, 1, 0], duration=200.0)
    >>> windows = rv.recordings.neuroformer.tokenise(session, past=50.0)
    >>> model = rv.recordings.neuroformer.Neuroformer(2, bins=5, past_bins=5, width=8)
    >>> counts = rv.recordings.neuroformer.forecast(model, windows, draws=2)
    >>> counts.shape == (len(windows), 2), bool((counts >= 0).all())
    (True, True)
    """
    count(draws, "draws", 1)
    generator = torch.Generator().manual_seed(seed)
    longest = int(1.5 * windows.ids.shape[1]) + 2 if longest is None else count(longest, "longest", 1)
    results = []
    for part in _pieces(windows, batch):
        total = torch.zeros(len(part), windows.size, dtype=torch.float64)
        for _ in range(draws):
            total += _draw(model, part, longest, generator)
        results.append((total / draws).numpy())
    return np.concatenate(results)


def decode_labels(model: Neuroformer, windows: Windows, *, batch: int = 500) -> Mapping[str, NDArray[np.float64]]:
    """The labels that the model reads from each window, name -> (W,).

    >>> session = rv.recordings.Session.from_times([5.0, 60.0, 110.0], [0, 1, 0], duration=200.0)
    >>> speed = rv.recordings.Signal([0.0, 200.0], [1.0, 3.0])
    >>> windows = rv.recordings.neuroformer.tokenise(session, past=50.0, labels={"speed": speed})
    >>> model = rv.recordings.neuroformer.Neuroformer(2, bins=5, past_bins=5, labels=["speed"], width=8)
    >>> len(rv.recordings.neuroformer.decode_labels(model, windows)["speed"]) == len(windows)
    True
    """
    answers = [_say(model, part).labels for part in _pieces(windows, batch)]
    return {name: torch.cat([answer[name] for answer in answers]).double().numpy() for name in model.read}


def _loss(
    model: Neuroformer, output: Output, part: Windows, mean: tuple[float, float], scale: dict[str, float],
    spikes: float, labels: float,
) -> Tensor:
    width = 1.0 / PARTS if model.contrast and output.contexts else 0.0
    # a token counts alike in any batch
    ids = functional.cross_entropy(output.ids.flatten(0, 1), part.next_ids.flatten(), ignore_index=-1, reduction="sum")
    bins = functional.cross_entropy(output.bins.flatten(0, 1), part.next_bins.flatten(), ignore_index=-1,
                                    reduction="sum")  # fmt: skip
    ids, bins = ids / (len(part) * mean[0]), bins / (len(part) * mean[1])
    loss = spikes * (1 - width) * (SHARES[0] * ids + SHARES[1] * bins)
    if width:
        terms = [_contrast(output.state, context) for context in output.contexts.values()]
        loss = loss + spikes * width * torch.stack(terms).mean()
    for name in model.read:
        if name in part.labels:
            known = torch.isfinite(part.labels[name])
            if bool(known.any()):
                error = (output.labels[name] - part.labels[name])[known] / scale[name]
                loss = loss + labels * (error**2).mean()
    return loss


def _pace(step: int, steps: int) -> float:
    """The share of the rate: up over the first tenth, down along a cosine."""
    warm = max(1, steps // 10)
    rest = (step - warm) / max(1, steps - warm)
    return (step + 1) / (warm + 1) if step < warm else 0.5 + 0.5 * float(np.cos(np.pi * min(1.0, rest)))


def _contrast(state: Tensor, context: Tensor) -> Tensor:
    """Each window's embedding is nearest to that of its own modality, and the other way round (CLIP's loss)."""
    logits = state @ context.T / TEMPERATURE
    own = torch.arange(len(state))
    return (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2


def _scores(output: Output, part: Windows) -> Tensor:
    ids = -functional.cross_entropy(output.ids.transpose(1, 2), part.next_ids, ignore_index=-1, reduction="none")
    bins = -functional.cross_entropy(output.bins.transpose(1, 2), part.next_bins, ignore_index=-1, reduction="none")
    return (ids + bins).sum(1)


def _draw(model: Neuroformer, part: Windows, longest: int, generator: torch.Generator) -> Tensor:
    size, rows = part.size, torch.arange(len(part))
    ids = torch.full((len(part), 1), size)
    bins = torch.zeros_like(ids)
    counts = torch.zeros(len(part), size, dtype=torch.float64)
    running = torch.ones(len(part), dtype=torch.bool)
    while bool(running.any()) and ids.shape[1] <= longest:
        output = _say(model, replace(part, ids=ids, bins=bins))
        late = torch.arange(output.bins.shape[2]) < bins[:, -1:]
        chance = output.bins[:, -1].masked_fill(late, -torch.inf).softmax(1)
        chosen_bin = torch.multinomial(chance, 1, generator=generator)
        logits = output.ids[:, -1].clone()
        same = (bins == chosen_bin) & (ids < size)
        spent = torch.zeros(len(part), size + 2, dtype=torch.bool).scatter_(1, torch.where(same, ids, size + 1), True)
        logits[:, :size] = logits[:, :size].masked_fill(spent[:, :size], -torch.inf)
        chosen = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
        running &= chosen < size
        counts[rows[running], chosen[running]] += 1
        ids = torch.cat([ids, torch.where(running, chosen, size + 1)[:, None]], 1)
        bins = torch.cat([bins, torch.where(running, chosen_bin[:, 0], bins[:, -1])[:, None]], 1)
    return counts


def _say(model: Neuroformer, part: Windows) -> Output:
    before = model.training
    with torch.no_grad():
        output = model.eval()(part)
    model.train(before)
    return output


def _pieces(windows: Windows, batch: int) -> list[Windows]:
    if not len(windows):
        raise ValueError("windows is empty; expected some")
    return [windows[slice(at, at + batch)].trimmed() for at in range(0, len(windows), batch)]


def _spread(values: Tensor) -> float:
    known = values[torch.isfinite(values)]
    return max(float(known.std()) if len(known) > 1 else 1.0, 1e-9)


__all__ = ["decode_labels", "forecast", "log_likelihood", "train_neuroformer"]
