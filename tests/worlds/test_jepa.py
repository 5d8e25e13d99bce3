"""Moving scenes, latent models of them, planning, and slow features."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ranvier.worlds import (
    JEPA,
    HierarchicalJEPA,
    MovingDots,
    PixelPredictor,
    SceneBatches,
    WorldLearner,
    effective_rank,
    latent_energy,
    plan,
    slow_features,
)
from ranvier.worlds.jepa import regularisers
from tests.laws.learners import LAWS, Case


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_scenes_by_hand():
    """Brightest pixels lie where the blobs do; moves end at borders; noise is uniform, distractors come on top."""
    world = MovingDots(side=12, distractors=0, noise=0.0)
    where = torch.tensor([[[-1.0, 0.0]], [[0.5, 0.25]]])
    frames = world.frames(where, torch.tensor([1])).reshape(2, 12, 12)  # upright: blobs at ± 2 rows
    for t, (row, column) in enumerate((5.5 + 3.5 * where[:, 0]).tolist()):
        expected = np.zeros((12, 12))
        for up in (-2, 0, 2):
            for r in range(12):
                for c in range(12):
                    expected[r, c] += math.exp(-((r - row - up) ** 2 + (c - column) ** 2) / (2 * 0.8**2))
        np.testing.assert_allclose(frames[t], expected, atol=1e-6)
    moved = world.move(torch.tensor([[0.9, -0.3]]), torch.tensor([[1.0, -5.0]]))
    torch.testing.assert_close(moved, torch.tensor([[1.0, -0.7]]))
    scene = world.sample(9, 20, generator=seeded(1))
    torch.testing.assert_close(scene.positions[1:], world.move(scene.positions[:-1], scene.actions[:-1]))
    clean = world.frames(scene.positions, scene.identities)
    for background in ("changing", "fixed"):
        noisy = MovingDots(side=12, distractors=0, noise=0.5, background=background)
        rest = noisy.frames(scene.positions, scene.identities, generator=seeded(2)) - clean
        assert rest.min() >= -1e-6 and rest.max() <= 0.5 + 1e-6 and abs(rest.mean() - 0.25) < 0.01
        assert bool((rest[1:] - rest[:1]).abs().max() < 1e-6) == (background == "fixed")
    more = MovingDots(side=12, distractors=2, noise=0.0).frames(scene.positions, scene.identities, generator=seeded(3))
    assert 2 < (more - clean).sum(2).mean() < 2 * 2 * math.pi * 0.8**2


def test_regularisers_by_hand():
    z = torch.randn(50, 4, generator=seeded(0), dtype=torch.float64) * torch.tensor([0.2, 3.0, 0.9, 1e-9])
    spread, overlap = regularisers(z)
    covariance = np.cov(z.T.numpy())
    assert spread == pytest.approx(np.mean(np.maximum(0, 1 - np.sqrt(np.diag(covariance) + 1e-4))))
    assert overlap == pytest.approx((covariance**2)[~np.eye(4, dtype=bool)].sum() / 4)


@pytest.mark.parametrize("target", ["average", "stop", "shared"])
def test_the_loss_by_hand_and_where_gradients_go(target):
    model = JEPA(9, 2, size=3, hidden=5, target=target).double()
    with torch.no_grad():
        for p in model.average.parameters():
            p.mul_(1.1)
    x, a = torch.randn(4, 6, 9, generator=seeded(0)).double(), torch.randn(4, 6, 2, generator=seeded(1)).double()
    z = model.encoder(x)
    code, error = z[0], 0.0
    for t in range(3):
        code = code + model.predictor(torch.cat([code, a[t]], 1))
        goal = model.average(x[t + 1]) if target == "average" else z[t + 1]
        error = error + (code - goal).square().mean() / 3
    spread, overlap = regularisers(z.reshape(-1, 3))
    torch.testing.assert_close(model.loss(x, a), 25 * error + 25 * spread + overlap)
    # the last frame enters as a target alone, but for the regularisers
    plain = JEPA(9, 2, size=3, hidden=5, target=target, variance=0.0, covariance=0.0).double()
    x.requires_grad_()
    plain.loss(x, a).backward()
    assert (x.grad[0] != 0).any() and bool((x.grad[3] != 0).any()) == (target == "shared")
    assert all(p.grad is None for p in plain.average.parameters())


def test_the_average_follows():
    model = JEPA(4, 1, size=2, hidden=3, momentum=0.9)
    learner = WorldLearner(model, torch.optim.SGD(model.parameters(), 0.01))
    before = [p.clone() for p in model.average.parameters()]
    learner.step((torch.randn(3, 8, 4), torch.randn(3, 8, 1)))
    for old, slow, fast in zip(before, model.average.parameters(), model.encoder.parameters(), strict=True):
        torch.testing.assert_close(slow, 0.9 * old + 0.1 * fast)
    both = HierarchicalJEPA(JEPA(4, 1, size=2, hidden=3), stride=2, size=2, hidden=3)
    start = [p.clone() for p in both.upper.average.parameters()]
    learner = WorldLearner(both, torch.optim.SGD(both.parameters(), 0.1))
    learner.step((torch.randn(5, 8, 4), torch.randn(5, 8, 1)))
    assert all((a != b).any() for a, b in zip(start, both.upper.average.parameters(), strict=True))


def test_the_upper_level_sends_no_gradient_down():
    both = HierarchicalJEPA(JEPA(4, 1, size=2, hidden=3), stride=2, size=2, hidden=3)
    x, a = torch.randn(5, 8, 4), torch.randn(5, 8, 1)
    both.loss(x, a).backward()
    joint = [p.grad.clone() for p in both.lower.encoder.parameters()]
    both.zero_grad()
    both.lower.loss(x, a).backward()
    assert all(torch.equal(g, p.grad) for g, p in zip(joint, both.lower.encoder.parameters(), strict=True))


class Linear(torch.nn.Module):
    """z ← z + B a: the best plan is known."""

    actions = 2

    def __init__(self):
        super().__init__()
        self.effect = torch.tensor([[0.5, 0.1], [0.0, 0.4]], dtype=torch.float64)

    def predict(self, code, actions):
        return code + (actions @ self.effect).cumsum(0)


@pytest.mark.parametrize("method", ["cem", "gradient"])
def test_plans_are_the_best_ones(method):
    model, code = Linear(), torch.zeros(3, 2, dtype=torch.float64)
    goal = torch.tensor([[0.3, -0.2], [0.0, 0.1], [3.0, 3.0]], dtype=torch.float64)
    settings = {"method": method, "iterations": 60, "population": 200, "elite": 20, "rate": 0.1}
    actions = plan(model, code, goal, 3, **settings, generator=seeded(0))
    assert actions.shape == (3, 3, 2) and actions.abs().max() <= 1
    best = torch.linalg.solve(model.effect.T, goal[:2].T).T  # reached by the first step
    torch.testing.assert_close(actions[0, :2], best, atol=0.02, rtol=0)
    assert actions[1:, :2].abs().max() < 0.05
    torch.testing.assert_close(actions[:, 2], torch.ones(3, 2, dtype=torch.float64), atol=1e-6, rtol=0)  # out of reach
    none = latent_energy(model, code, goal, torch.zeros_like(actions))
    torch.testing.assert_close(none, goal.square().mean(1))
    assert (latent_energy(model, code, goal, actions) < 0.8 * none).all()
    again = plan(model, code, goal, 3, **settings, generator=seeded(0))
    assert torch.equal(actions, again)


def test_slow_features_of_mixed_waves():
    """A slow and two fast waves, mixed linearly: the first feature is the slow one, its change that of a sine."""
    t = torch.arange(4000, dtype=torch.float64)[:, None]
    waves = torch.cat([torch.sin(0.01 * math.pi * t), torch.sin(0.2 * math.pi * t), torch.cos(0.3 * math.pi * t)], 1)
    mixing = torch.randn(3, 3, generator=seeded(0), dtype=torch.float64)
    slow = slow_features((waves @ mixing + 5)[:, None], 3)
    y = slow((waves @ mixing + 5)[:, None])[:, 0]
    torch.testing.assert_close(y.T @ y / 4000, torch.eye(3, dtype=torch.float64), atol=1e-9, rtol=0)
    correlation = torch.corrcoef(torch.cat([y, waves], 1).T)[:3, 3:].abs()
    assert (correlation.diagonal() > 0.999).all()
    expected = torch.tensor([2 - 2 * math.cos(w * math.pi) for w in (0.01, 0.2, 0.3)], dtype=torch.float64)
    torch.testing.assert_close(slow.slowness, expected, rtol=2e-3, atol=1e-9)


def test_effective_rank():
    q = torch.linalg.qr(torch.randn(40, 4, generator=seeded(0), dtype=torch.float64))[0]
    p = np.array([0.4, 0.3, 0.2, 0.1])
    assert effective_rank(q * torch.from_numpy(p)) == pytest.approx(np.exp(-(p * np.log(p)).sum()))
    assert math.isnan(effective_rank(torch.zeros(4, 2)))


def scenes(dtype):
    world = MovingDots(side=7, distractors=0, noise=0.2)
    return [tuple(v.to(dtype) for v in world.sample(5, 8, generator=seeded(k))[:2]) for k in range(3)]


def latent(make):
    def build(dtype):
        model = make().to(dtype)
        learned = [p for p in model.parameters() if p.requires_grad]
        return WorldLearner(model, torch.optim.Adam(learned, 0.01), clip=10.0)

    return build


CASES = {
    "JEPA": Case(WorldLearner, latent(lambda: JEPA(49, 2, size=3, hidden=8)), scenes),
    "HierarchicalJEPA": Case(
        WorldLearner,
        latent(lambda: HierarchicalJEPA(JEPA(49, 2, size=3, hidden=8), stride=2, size=2, hidden=4)),
        scenes,
    ),
    "PixelPredictor": Case(WorldLearner, latent(lambda: PixelPredictor(49, 2, size=3, hidden=8)), scenes),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_latent_learners_laws(law, name, dtype):
    law(CASES[name], dtype)


def test_trained_by_fit_to_the_same_bits(tmp_path):
    import ranvier as rv

    def train(epochs, checkpoint):
        torch.manual_seed(3)
        model = JEPA(49, 2, size=3, hidden=8, seed=1)
        learner = WorldLearner(model, torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 0.01))
        rv.fit(learner, SceneBatches(MovingDots(side=7), 4, 8, 5), epochs, checkpoint, progress=False)
        return model.state_dict()

    once, again = train(3, tmp_path / "one"), train(3, None)
    train(1, tmp_path / "cut")
    joined = train(3, tmp_path / "cut")
    for name, value in once.items():
        assert torch.equal(value, again[name]) and torch.equal(value, joined[name])


ZERO = torch.zeros


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: MovingDots(side=5), "side is 5"), (lambda: MovingDots(background="none"), "'none'"),
        (lambda: MovingDots(noise=-1), "noise is -1"), (lambda: MovingDots(shapes=5), "shapes is 5"),
        (lambda: JEPA(4, 2, target="ema"), "'ema'"), (lambda: JEPA(4, 2, momentum=2), "momentum is 2"),
        (lambda: JEPA(4, 2).loss(ZERO(3, 2, 5), ZERO(3, 2, 2)), r"\(T, B, 4\)"),
        (lambda: JEPA(4, 2).loss(ZERO(3, 2, 4), ZERO(2, 2, 2)), "one a frame"),
        (lambda: JEPA(4, 2).loss(ZERO(3, 2, 4) / 0, ZERO(3, 2, 2)), "NaN"),
        (lambda: JEPA(4, 2).encode(ZERO(3, 5)), "pixels last"),
        (lambda: JEPA(4, 2).predict(ZERO(3, 5), ZERO(1, 3, 2)), "last of that size|expected \\(B, 16\\)"),
        (lambda: HierarchicalJEPA(JEPA(4, 2)).loss(ZERO(3, 2, 4), ZERO(3, 2, 2)), "stride"),
        (lambda: plan(Linear(), ZERO(1, 2), ZERO(2, 2), 3), r"\(B, size\)"),
        (lambda: plan(Linear(), ZERO(1, 2), ZERO(1, 2), 3, method="best"), "'best'"),
        (lambda: plan(Linear(), ZERO(1, 2), ZERO(1, 2), 3, elite=99), "elite is 99"),
        (lambda: slow_features(ZERO(5, 2), 1), r"\(T, B, N\)"), (lambda: slow_features(ZERO(5, 2, 3), 1), "at most 0"),
        (lambda: effective_rank(ZERO(3)), "expected .n, size."),
    ],
)  # fmt: skip
def test_wrong_values_of_scenes(call, words):
    with pytest.raises(ValueError, match=words):
        call()
