"""Parts of entries that the small size leaves out, on data made here, so that they need not wait for the real data to
fail."""

import numpy as np
import pytest
import torch

from ranvier.atlas.learning import hlop, surrogate_training_mnist
from ranvier.atlas.plasticity import unsupervised_stdp


@pytest.mark.parametrize("surrogate", [True, False])
def test_frames_of_events_train_the_convolutions_through_their_surrogates_alone(surrogate):
    torch.manual_seed(0)
    labels = torch.arange(16) % 2
    frames = (torch.rand(16, 15, 2, 34, 34) < 0.2).to(torch.uint8)
    frames[labels == 1, :, 0] = 0
    net = surrogate_training_mnist._convolutional()
    before = net[0].weight.detach().clone()
    test = surrogate_training_mnist._trained(
        net, frames, labels, surrogate_training_mnist._steps_first, 2, 8, surrogate
    )
    right, counted = test(frames, labels)
    assert set(right.tolist()) <= {0.0, 1.0} and right.shape == (16,)
    assert bool((net[0].weight != before).any()) == surrogate
    assert counted.layers[0].synops > 0 and counted.uncounted == ()


@pytest.mark.parametrize("method", ["hlop", "sequential", "biases"])
@pytest.mark.long
def test_permuted_tasks_are_learned_one_after_the_other(method):
    """Two kinds of images that any of the nets tells apart in fifty steps, on two tasks."""
    labels = torch.arange(1600) % 2
    images = torch.zeros(1600, 784)
    images[labels == 0, :392] = 1.0
    images[labels == 1, 392:] = 1.0
    data = images, labels, images[:500], labels[:500]
    table = hlop.run(data, method, 0, tasks=2)
    assert table.diagonal().min() > 0.95 and table[0, 1] == 0.0
    assert hlop.transfer(table) == pytest.approx(table[1, 0] - table[0, 0])


def test_spike_trains_of_images_have_the_pixels_rates(rng):
    images = np.array([[0.0, 1.0, 0.5]] * 400)
    inputs = unsupervised_stdp.trains(images, rng)
    counts = np.bincount(inputs.neurons.numpy(), minlength=3) / 400
    expected = np.array([0.0, 1.0, 0.5]) * unsupervised_stdp.BRIGHTEST * unsupervised_stdp.SHOWN / 1000
    assert counts == pytest.approx(expected, rel=0.05)
    assert (inputs.times.numpy() % (unsupervised_stdp.SHOWN + unsupervised_stdp.PAUSE)).max() <= unsupervised_stdp.SHOWN
