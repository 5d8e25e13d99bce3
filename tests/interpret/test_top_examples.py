"""Exemplars against a loop over units, examples and places."""

import numpy as np
import pytest
import torch
from torch import nn

from ranvier.interpret import activations, exemplars
from tests.interpret.test_unit_recording import IMAGES, batches, texts


@pytest.mark.parametrize("memory", [1, 64])
def test_images_against_a_loop(convolutional, tmp_path, memory):
    record = activations(convolutional, batches(3), "2", tmp_path, dtype=torch.float64)
    result = exemplars(record, "2", top=4, quantile=0.9, memory=memory)
    values = nn.Sequential(*convolutional[:3])(IMAGES.clone()).detach().numpy()
    for unit in range(4):
        peaks = [(-max(values[n, unit].ravel()), n) for n in range(20)]
        assert result.examples[unit].tolist() == [n for _, n in sorted(peaks)[:4]]
        flat = sorted(values[:, unit].ravel())
        at = 0.9 * (len(flat) - 1)
        threshold = flat[int(at)] + (at - int(at)) * (flat[int(at) + 1] - flat[int(at)])
        assert abs(float(result.threshold[unit]) - threshold) < 1e-12
        for k, n in enumerate(result.examples[unit].tolist()):
            assert np.allclose(result.maps[unit, k].numpy(), values[n, unit], atol=1e-12)
            assert result.masks()[unit, k].tolist() == (values[n, unit] > threshold).tolist()
    assert result.masks((8, 8)).shape == (4, 4, 8, 8)
    torch.testing.assert_close(result.values[:, 0], torch.from_numpy(values.max((0, 2, 3))))


def test_texts_against_a_loop(llama):
    record = activations(llama, texts(), "model.norm", dtype=torch.float64)
    result = exemplars(record, "model.norm", top=3, quantile=0.8)
    rows = [r.numpy() for r in record["model.norm"].split(record.lengths.tolist())]
    for unit in (0, 7, 11):
        order = sorted(range(12), key=lambda n: (-rows[n][:, unit].max(), n))[:3]
        assert result.examples[unit].tolist() == order
        for k, n in enumerate(order):
            length = len(rows[n])
            assert np.array_equal(result.maps[unit, k, :length].numpy(), rows[n][:, unit])
            assert bool(torch.isnan(result.maps[unit, k, length:]).all())
            assert not bool(result.masks()[unit, k, length:].any())


def test_equal_examples_come_in_their_order():
    record = activations(nn.Sequential(nn.Identity()), torch.tensor([1.0, 2, 2, 0, 2])[:, None].split(2), "0")
    assert exemplars(record, "0", top=4).examples.tolist() == [[1, 2, 4, 0]]


def test_mistakes_are_named(convolutional):
    record = activations(convolutional, batches(), ["2", "5"])
    for arguments, message in (
        ({"layer": "3"}, "layer is '3'; expected one of"),
        ({"layer": "2", "top": 21}, "top is 21 of 20 examples"),
        ({"layer": "2", "quantile": 1.5}, "quantile is 1.5"),
    ):
        with pytest.raises(ValueError, match=message):
            exemplars(record, **arguments)
    with pytest.raises(ValueError, match=r"expected \(units, top, height, width\)"):
        exemplars(record, "5", top=2).masks((4, 4))
