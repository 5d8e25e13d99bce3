"""Sparse autoencoders, spectra and shifts against plain re-derivations."""

import math

import numpy as np
import pytest
import torch

from ranvier.interpret import (
    SparseAutoencoder,
    best_window,
    difference_spectrum,
    edit,
    feature_lift,
    fit_autoencoder,
    language_shift,
)
from tests.interpret.conftest import language_model


def autoencoder(width: int = 12, features: int = 20) -> SparseAutoencoder:
    torch.manual_seed(2)
    one = SparseAutoencoder(width, features).double()
    with torch.no_grad():
        one.bias.normal_(0.0, 0.1)
        one.centre.normal_()
    one.normalise()
    return one


def test_encoding_against_a_loop():
    one, x = autoencoder(), torch.randn(3, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    w, b, c = one.weight.detach().numpy(), one.bias.detach().numpy(), one.centre.detach().numpy()
    for row, z, back in zip(x.numpy(), one.encode(x).tolist(), one(x).tolist(), strict=True):
        plain = [max(0.0, sum(w[f, k] * (row[k] - c[k]) for k in range(12)) + b[f]) for f in range(20)]
        assert z == pytest.approx(plain, abs=1e-12)
        assert back == pytest.approx([c[k] + sum(plain[f] * w[f, k] for f in range(20)) for k in range(12)], abs=1e-12)
    assert np.allclose(np.linalg.norm(w, axis=1), 1, atol=1e-12)


def test_it_finds_the_directions_of_sparse_data():
    """Data of few of sixteen fixed directions: nearly all are found."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.nn.functional.normalize(torch.randn(16, 12, generator=generator), dim=1)
    codes = torch.rand(6000, 16, generator=generator) * (torch.rand(6000, 16, generator=generator) < 0.08)
    torch.manual_seed(1)
    one = SparseAutoencoder(12, 32)
    before = (truth @ one.weight.T).amax(1).mean()
    losses = fit_autoencoder(one, codes @ truth, rate=2e-2, l1=0.1, epochs=12, batch=256)
    nearest = (truth @ one.weight.detach().T).amax(1)
    assert losses[-1] < 0.5 * losses[0] and float(nearest.mean()) > 0.85 > float(before.detach()) + 0.2
    torch.testing.assert_close(one.weight.norm(dim=1), torch.ones(32))


def test_spectrum_against_numpy():
    rng = np.random.default_rng(0)
    base = rng.normal(size=(2, 9))
    x = rng.normal(size=(40, 2)) * [3.0, 2.5] @ base + 0.01 * rng.normal(size=(40, 9)) + base[0]
    result = difference_spectrum(torch.from_numpy(x))
    _, s, v = np.linalg.svd(x, full_matrices=False)
    share = s**2 / sum(s**2)
    effective = math.exp(-sum(p * math.log(p) for p in share))
    assert result.effective_rank == pytest.approx(effective, rel=1e-12)
    assert result.rank == 2 == min(math.ceil(effective), int(np.argmax(s[:-1] / s[1:])) + 1)
    assert result.mass == pytest.approx(share[:2].sum(), rel=1e-12)
    assert result.eigengap == pytest.approx(s[1] / s[2], rel=1e-9)
    mean = x.mean(0) @ v[:2].T @ v[:2]
    assert np.allclose(result.mean.numpy(), mean / np.linalg.norm(mean), atol=1e-10)
    assert 0.999 < result.stability <= 1 + 1e-12 and result.score == result.mass * result.stability
    noise = difference_spectrum(torch.from_numpy(rng.normal(size=(40, 60))))
    assert noise.stability < 0.8 and noise.score < 0.5 * result.score


def test_windows_against_every_one():
    rng = np.random.default_rng(1)
    for _ in range(5):
        scores = rng.random(9).tolist()
        every = {(a, b): np.mean(scores[a:b]) for a in range(9) for b in range(a + 3, min(9, a + 6) + 1)}
        assert every[best_window(scores)] == pytest.approx(max(every.values()))
    assert best_window([1.0, 1, 1, 1, 0]) == (0, 4)
    with pytest.raises(ValueError, match="expected as many layers"):
        best_window([1.0, 2.0])


def test_lift_against_one_feature_at_a_time():
    model, one = language_model("llama").double(), autoencoder()
    prompts = torch.randint(0, 30, (4, 6), generator=torch.Generator().manual_seed(0))
    features, target, base = torch.tensor([3, 17, 5]), torch.arange(5), torch.arange(10, 20)
    strengths = (0.5, 2.0, 5.0, 10.0)
    lifts = feature_lift(model, "model.layers.0", one, prompts, features, target, base, strengths=strengths)
    for lift, feature in zip(lifts.tolist(), features.tolist(), strict=True):
        rises = []
        for strength in strengths:

            def hook(module, args, output, feature=feature, strength=strength):
                h = output.clone()
                h[:, -1] += strength * h[:, -1].norm(dim=-1, keepdim=True) * one.weight[feature]
                return h

            margins = []
            for edited in (False, True):
                handle = model.model.layers[0].register_forward_hook(hook) if edited else None
                with torch.no_grad():
                    mass = model(prompts).logits[:, -1].softmax(1)
                margins.append(float((mass[:, target].sum(1) - mass[:, base].sum(1)).mean()))
                if handle:
                    handle.remove()
            rises.append((margins[1] - margins[0]) / strength)
        assert lift == pytest.approx(float(np.median(rises)), abs=1e-12)
    assert float(lifts.abs().max()) > 1e-4


@pytest.mark.parametrize("compensation", [0.0, 0.7])
def test_shift_against_a_loop(compensation):
    one = autoencoder()
    generator = torch.Generator().manual_seed(0)
    target, base = (torch.nn.functional.normalize(torch.rand(20, generator=generator).double(), dim=0) for _ in "ab")
    h = 5 * torch.randn(3, 12, generator=generator, dtype=torch.float64)
    shifted = language_shift(one, target, base, 0.4, compensation)(h)
    for row, after in zip(h, shifted, strict=True):
        length = math.sqrt(sum(x * x for x in row.tolist()))
        z = one.encode(row / length).tolist()
        along = max(0.0, sum(a * b for a, b in zip(z, base.tolist(), strict=True)))
        change = [0.4 * t - compensation * along * b for t, b in zip(target.tolist(), base.tolist(), strict=True)]
        weight = one.weight.tolist()
        expected = [float(row[k]) + length * sum(change[f] * weight[f][k] for f in range(20)) for k in range(12)]
        assert after.tolist() == pytest.approx(expected, abs=1e-10)
    assert torch.equal(language_shift(one, target, None, 0.4, 0.7)(h), language_shift(one, target, base, 0.4)(h))


def test_a_transform_keeps_shapes():
    model = language_model("llama")
    ids = torch.randint(0, 30, (2, 5))
    before = model(ids).logits
    with edit(model) as change:
        change.transform("model.layers.0", lambda h: h, tokens=-1)
        assert torch.equal(model(ids).logits, before)
        change.transform("model.layers.0", lambda h: h[..., :3])
        with pytest.raises(ValueError, match="expected the same shape"):
            model(ids)
    assert torch.equal(model(ids).logits, before)


def test_mistakes_are_named():
    one = autoencoder()
    for call, message in (
        (lambda: fit_autoencoder(one, torch.zeros(3, 5)), r"expected \(tokens, 12\)"),
        (lambda: fit_autoencoder(one, torch.zeros(0, 12)), "one at least"),
        (lambda: fit_autoencoder(one, torch.full((2, 12), math.nan)), "x is not finite"),
        (lambda: fit_autoencoder(one, torch.zeros(2, 12), rate=0.0), "rate is 0"),
        (lambda: difference_spectrum(torch.zeros(5, 3)), "differences are all zero"),
        (lambda: difference_spectrum(torch.ones(1, 3)), "two pairs"),
        (lambda: SparseAutoencoder(0), "width is 0"),
        (lambda: language_shift(one, torch.ones(20), None, math.nan), "strength is nan"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
