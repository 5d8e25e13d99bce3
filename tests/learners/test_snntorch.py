"""Losses and changes that snnTorch defines alike, against what snnTorch 1.0.0 returns for the same input.

ce_count_loss()(y, labels), ce_temporal_loss()(y, labels), mse_count_loss(.8, .2)(y, labels), ce_rate_loss()(u, labels)
of snntorch.functional; snntorch.spikegen.delta(u, .75, padding=True, off_spike=...), a string a neuron.
"""

import pytest
import torch

from ranvier.learners import delta, first_spike_cross_entropy, membrane_cross_entropy, rate_cross_entropy, rate_mse

T, B, C = 10, 3, 4
t, b, c = torch.meshgrid(torch.arange(T), torch.arange(B), torch.arange(C), indexing="ij")
K = 7 * t + 3 * b + 5 * c + t * b * c
SPIKES, MEMBRANES, LABELS = (K % 11 < 3).float(), (K % 13 - 6) / 4, torch.tensor([2, 0, 3])
ON = [
    "0+0+0+0+0+", "0+00+0+0+0", "00+0+00+0+", "0+0+0+0+00", "0+0+0+00+0", "00+00+0+00",
    "0+00+00+00", "00+0000+00", "00+0+0+0+0", "000+000+00", "00+000000+", "0000000000",
]  # fmt: skip
BOTH = [
    "0+-+-+-+-+", "0+--+-+-+-", "0-+-+--+-+", "0+-+-+-+--", "0+-+-+--+-", "0-+--+-+--",
    "0+--+--+--", "0-+----+--", "0-+-+-+-+-", "0--+---+--", "00+000000+", "0000000000",
]  # fmt: skip


def test_losses():
    assert float(rate_cross_entropy(SPIKES, LABELS, scale=T)) == pytest.approx(1.161126732826233, rel=1e-6)
    assert float(first_spike_cross_entropy(SPIKES, LABELS, scale=T)) == pytest.approx(2.4511849880218506, rel=1e-5)
    assert float(rate_mse(SPIKES, LABELS)) == pytest.approx(0.7083333730697632 * C / T, rel=1e-6)
    assert float(membrane_cross_entropy(MEMBRANES, LABELS)) == pytest.approx(1.487041711807251, rel=1e-6)


@pytest.mark.parametrize("off", [False, True])
def test_changes_from_step_to_step(off):
    result = delta(MEMBRANES, 0.75, track=False, off=off).flatten(1).T.int().tolist()
    assert ["".join("-0+"[s + 1] for s in train) for train in result] == (BOTH if off else ON)
