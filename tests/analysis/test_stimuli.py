"""Twins against the cells they are of, clusters against planted kinds, types against what was planted."""

import numpy as np
import pytest
import torch

from ranvier.analysis.stimuli import (
    Twins,
    cluster_by_stimuli,
    fit_twins,
    fit_types,
    normalise_responses,
    presentations_needed,
)

KINDS = torch.eye(4).repeat_interleave(6, 0)  # (24 neurons, 4 pixels): each kind is driven by a pixel of its own


def respond(x):
    return x @ KINDS.T


def test_a_patch_at_a_neurons_place_is_what_the_whole_image_shows_it():
    rng = np.random.default_rng(0)
    places = torch.zeros(3, 16)
    places[[0, 1, 2], [0, 6, 15]] = 1.0
    draw = lambda *shape: torch.from_numpy(rng.standard_normal(shape)).float()  # noqa: E731
    twins = Twins(draw(2, 3, 3), places, 0.3 * draw(3, 4), draw(3), (4, 4))
    assert twins.positions.tolist() == [[0, 0], [1, 2], [3, 3]]
    patch = draw(1, 3, 3)
    for k, (row, column) in enumerate(twins.positions):
        image = draw(1, 6, 6)
        image[:, row : row + 3, column : column + 3] = patch
        assert abs(twins(image)[0, k] - float(twins.centred(patch)[0, k])) < 1e-5
    z = np.einsum("cij,ij->c", twins.filters.numpy(), patch[0].numpy())  # the law, written out
    drive = twins.weight.numpy() @ np.concatenate([z, z**2]) + twins.bias.numpy()
    np.testing.assert_allclose(twins.centred(patch)[0].numpy(), np.log1p(np.exp(drive)), rtol=1e-5)


@pytest.mark.parametrize("noise", ["poisson", "normal"])
def test_twins_answer_held_out_images_as_their_cells_and_look_where_they_do(noise):
    rng = np.random.default_rng(1)
    filters = rng.standard_normal((2, 3, 3)) * np.outer([0.3, 1, 0.3], [0.3, 1, 0.3])  # fields have a middle
    filters /= np.linalg.norm(filters, axis=(1, 2), keepdims=True)
    corner = rng.integers(0, 5, (8, 2))
    def mean(images):
        z = np.stack([np.einsum("sij,ij->s", images[:, a : a + 3, b : b + 3], filters[k % 2])
                      for k, (a, b) in enumerate(corner)], 1)  # fmt: skip
        return np.where(np.arange(8) < 4, 2 * np.maximum(z, 0), z**2)  # half of them rectify, half are energy cells
    x, tested = rng.standard_normal((1200, 7, 7)), rng.standard_normal((200, 7, 7))
    y = rng.poisson(mean(x)) if noise == "poisson" else mean(x) + 0.5 * rng.standard_normal((1200, 8))
    twins = fit_twins(x, y, kernel=3, filters=6, noise=noise, epochs=9, batch=40, seed=0)
    r = [np.corrcoef(a, b)[0, 1] for a, b in zip(twins(tested).T, mean(tested).T, strict=True)]
    assert min(r) > 0.8  # of 1; the best place, one pixel away, has some 0.6
    assert (np.abs(twins.positions - corner) <= 1).all() and (twins.positions == corner).all(1).mean() > 0.5
    one, two = (fit_twins(x[:80], y[:80], kernel=3, filters=2, noise=noise, epochs=1).weight for _ in range(2))
    assert torch.equal(one, two)


@pytest.mark.parametrize("start", [2, 4, 9])
def test_planted_kinds_are_the_clusters_from_fewer_stimuli_and_from_more(start):
    result = cluster_by_stimuli(respond, (4,), norm=8.0, start=start, steps=30)
    kinds = KINDS.argmax(1).numpy()
    assert len(result) == 4 and len({*zip(kinds.tolist(), result.labels.tolist(), strict=True)}) == 4
    # J of a stimulus along its own pixel and against the others is below log 4
    assert 0 < result.objective < np.log(4)
    assert (np.abs(np.linalg.norm(result.stimuli, axis=1) - 8.0) < 1e-5).all()


def test_the_objective_is_that_of_the_paper():
    result = cluster_by_stimuli(respond, (4,), norm=3.0, start=4, steps=20, temperature=0.7)
    r = result.stimuli @ KINDS.numpy().T
    values = []
    for c in range(len(result)):
        mean = [r[c, result.labels == k].mean() / 0.7 for k in range(len(result))]
        values.append(mean[c] - np.log(np.sum(np.exp(mean))) + np.log(len(result)))
    assert abs(np.mean(values) - result.objective) < 1e-5


def test_without_splitting_two_stimuli_stay_two_and_small_clusters_go():
    assert len(cluster_by_stimuli(respond, (4,), norm=3.0, start=2, split=False)) == 2
    assert len(cluster_by_stimuli(respond, (4,), norm=3.0, start=9, least=7)) <= 3  # kinds of six are too small


def test_identical_cells_are_no_kinds():
    same = cluster_by_stimuli(lambda x: x @ torch.ones(4, 10), (4,), norm=3.0, start=1)
    assert len(same) == 1 and abs(same.objective) < 1e-6


def test_normalised_responses_have_a_floor_for_silent_neurons():
    normal = normalise_responses(lambda x: x * torch.tensor([1.0, 2.0, 0.0]), np.array([[0.0], [2.0]]))
    assert torch.isfinite(normal(torch.tensor([[5.0]]))).all()


def test_types_ignore_gain_and_offset_and_more_presentations_help():
    rng = np.random.default_rng(0)
    profiles = rng.standard_normal((3, 5))
    labels = rng.integers(0, 3, 300)
    gain, offset = rng.lognormal(0, 1, (300, 1)), rng.standard_normal((300, 1))
    clean = gain * profiles[labels] + offset
    types = fit_types(clean[:100], labels[:100])
    assert (types.classify(clean[100:]) == labels[100:]).all()
    trials = clean + gain * 1.5 * rng.standard_normal((20, 300, 5))
    share = presentations_needed(types, trials, labels)
    assert share[0] < share[3] < share[-1] and share[-1] > 0.9 and share[0] > 0.45
    shuffled = fit_types(clean, rng.permutation(labels))
    assert (shuffled.classify(clean) == labels).mean() < 0.7


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: fit_twins(np.zeros((4, 5, 5)), -np.ones((4, 2)), kernel=3), "negative"),
        (lambda: fit_twins(np.zeros((4, 5, 5)), np.ones((3, 2)), kernel=3), "a row an image"),
        (lambda: fit_twins(np.zeros((4, 5, 5)), np.ones((4, 2)), kernel=6), "at most the images' 5 pixels"),
        (lambda: fit_twins(np.full((4, 5, 5), np.nan), np.ones((4, 2)), kernel=3), "finite"),
        (lambda: fit_twins(np.zeros((4, 5, 5)), np.ones((4, 2)), noise="pink"), "'poisson' or 'normal'"),
        (lambda: cluster_by_stimuli(lambda x: x * float("nan"), (4,), norm=1.0), "finite"),
        (lambda: cluster_by_stimuli(respond, (4,), norm=-1.0), "norm"),
        (lambda: fit_types(np.ones((3, 4)), [0, 0, 0]), "at least two"),
        (lambda: fit_types(np.full((3, 4), np.nan), [0, 1, 0]), "finite"),
        (lambda: fit_types(np.eye(3), [0, 1, 1]).classify(np.ones((2, 5))), r"\(N, 3\)"),
    ],
)
def test_what_cannot_be_fitted_is_refused(call, words):
    with pytest.raises(ValueError, match=words) as error:
        call()
    assert "expected" in str(error.value)
