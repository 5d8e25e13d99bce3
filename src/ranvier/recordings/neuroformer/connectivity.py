"""Who drives whom, read off a trained Neuroformer's attention to the past."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ranvier.recordings.neuroformer.model import Neuroformer
from ranvier.recordings.neuroformer.tokens import Windows

Array = NDArray[np.float64]


def attention_map(model: Neuroformer, windows: Windows, *, batch: int = 500) -> Array:
    """Mean attention (N, N), [target, source], that spikes of each neuron in a window pay to each neuron's in its past,
    over heads and layers; 0 for pairs that never met. As in the paper; whom attention tells of is not sure: see
    `attention_drive`.

    >>> session = rv.recordings.Session.from_times([5.0, 60.0, 110.0], [0, 1, 0], duration=200.0)
    >>> windows = rv.recordings.neuroformer.tokenise(session, past=50.0)
    >>> model = rv.recordings.neuroformer.Neuroformer(2, bins=5, past_bins=5, width=8)
    >>> rv.recordings.neuroformer.attention_map(model, windows)[0, 0].item()  # 0 had no spike in its own past
    0.0
    """
    return _collect(model, windows, batch, drive=False)


def attention_drive(model: Neuroformer, windows: Windows, *, batch: int = 500) -> Array:
    """What attention to a spike of each neuron in the past adds to the logit of each neuron as the next one, (N, N),
    [target, source]: the mean attention that a past spike is paid, times what its value does to the readout, less the
    mean over targets. Above 0: the source's spikes make the target's likelier. Of targets that one source makes fire
    within one window, the first in order takes most of it: take windows no longer than the delays.

    >>> session = rv.recordings.Session.from_times([5.0, 60.0, 110.0], [0, 1, 0], duration=200.0)
    >>> windows = rv.recordings.neuroformer.tokenise(session, past=50.0)
    >>> model = rv.recordings.neuroformer.Neuroformer(2, bins=5, past_bins=5, width=8)
    >>> drive = rv.recordings.neuroformer.attention_drive(model, windows)
    >>> drive.shape, bool(np.abs(np.nan_to_num(drive).mean(0)).max() < 1e-5)  # less the mean over targets
    ((2, 2), True)
    """
    return _collect(model, windows, batch, drive=True)


def _collect(model: Neuroformer, windows: Windows, batch: int, *, drive: bool) -> Array:
    size = model.size
    total = torch.zeros(size, size, dtype=torch.float64)
    number = torch.zeros(size, size, dtype=torch.float64)
    # the readout's direction for each neuron, through the last normalisation's gain
    readout = model.say_id.weight[:size] * model.norm.weight
    readout = readout - readout.mean(1, keepdim=True)
    before = model.training
    model.eval()
    with torch.no_grad():
        for at in range(0, len(windows), batch):
            part = windows[slice(at, at + batch)].trimmed()
            x = model.neuron(part.ids) + model.bin(part.bins)
            past, there = model.embed_past(part)
            said = (part.next_ids >= 0)[:, None, :, None]
            for attend in model.to_past:
                weight = attend.weights(x, past, there[:, None])  # (W, heads, L, P)
                if drive:
                    paid = (weight * said).sum(2) / said.sum(2)  # (W, heads, P), the mean over what is said
                    effect = torch.einsum("whpe,ne->whpn", attend.carried(past), readout)
                    each = (effect * paid[..., None]).sum(1)[there].double()  # (spikes, N)
                    source = part.past_ids[there]
                    total.T.index_add_(0, source, each)
                    number.T.index_add_(0, source, torch.ones_like(each))
                else:
                    spikes = part.ids < size
                    pair = spikes[:, :, None] & there[:, None]
                    w, l, p = torch.nonzero(pair, as_tuple=True)
                    target, source = part.ids[w, l], part.past_ids[w, p]
                    total.index_put_((target, source), weight.mean(1)[w, l, p].double(), accumulate=True)
                    number.index_put_((target, source), torch.ones(len(w), dtype=torch.float64), accumulate=True)
                x = attend(x, past, there[:, None])
    model.train(before)
    mean = (total / number.clamp_min(1)).numpy()
    return mean - mean.mean(0) if drive else mean


__all__ = ["attention_drive", "attention_map"]
