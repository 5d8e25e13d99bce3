"""Walks, the Hebbian memory as attention, TEM and TEM-t."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import logm
from torch.nn.functional import scaled_dot_product_attention

from ranvier.worlds import TEM, GridWorld, HebbianMemory, TEMTransformer, Walks, WorldLearner, attend, novelty
from ranvier.worlds.memory import leaky_clamp
from tests.laws.learners import LAWS, Case


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


@pytest.mark.parametrize("torus", [False, True])
def test_walks_keep_to_edges_and_environments_to_themselves(torus):
    world = GridWorld(3, 5, stimuli=7, torus=torus)
    walk = world.walk(60, 40, generator=seeded(0))
    rows, columns = walk.places // 5, walk.places % 5
    steps = torch.tensor([[-1, 0], [0, 1], [1, 0], [0, -1]])[walk.actions[:-1]]
    moves = torch.stack([rows.diff(dim=0), columns.diff(dim=0)], 2)
    if torus:
        assert ((moves - steps) % torch.tensor([3, 5]) == 0).all()
    else:
        assert torch.equal(moves, steps)
    for b in range(40):  # one stimulus a place
        assert len(set(zip(walk.places[:, b].tolist(), walk.observations[:, b].tolist(), strict=True))) == len(
            set(walk.places[:, b].tolist())
        )
    counts = torch.bincount(walk.observations.flatten(), minlength=7)
    assert counts.min() > 0 and counts.sum() == 2400
    straight = [float((a[1:] == a[:-1]).float().mean()) for a in (walk.actions, world.walk(60, 40, straight=1).actions)]
    assert straight[0] > straight[1] + 0.05
    again = world.walk(60, 40, generator=seeded(0))
    assert all(torch.equal(a, b) for a, b in zip(walk, again, strict=True))


def test_novelty_by_hand():
    """0 1 4 3 0 3 4: back at 0 by a new edge; 3 and 4 are known, and so are the ways to them."""
    places = torch.tensor([[0, 1, 4, 3, 0, 3, 4]]).T
    walk = GridWorld(3, 3).furnished(places, torch.zeros_like(places), generator=seeded(0))
    visited, inferred = novelty(walk)
    assert visited[:, 0].tolist() == [False, False, False, False, True, True, True]
    assert inferred[:, 0].tolist() == [False, False, False, False, True, False, False]


def test_a_path_becomes_steps_between_neighbours():
    world = GridWorld(4, 4)
    circle = np.stack([np.cos(np.linspace(0, 6, 25)), np.sin(np.linspace(0, 6, 25))], 1)
    places, actions = world.along(circle)
    assert places[0] == 7 or places[0] == 11  # to the east, in the middle
    steps = torch.tensor([[-1, 0], [0, 1], [1, 0], [0, -1]])[actions[:-1]]
    moves = torch.stack([(places // 4).diff(), (places % 4).diff()], 1)
    assert torch.equal(moves, steps) and actions[-1] == 0
    corner, _ = world.along(np.array([[0.0, 0.0], [1.0, 1.0]]))
    assert corner[0] == 12 and corner[-1] == 3 and len(corner) == 7  # south-west to north-east


@pytest.mark.parametrize("modules", [None, (3, 2, 4)])
def test_memory_is_attention(modules):
    """What is stored as keys and values retrieves what the Hebbian matrix does, to rounding."""
    memory = HebbianMemory(modules=modules)
    matrix = torch.zeros(2, 9, 9, dtype=torch.float64)
    for k in range(6):
        p, retrieved = normal(2, 9, seed=k), normal(2, 9, seed=100 + k)
        memory = memory.store(p, retrieved)
        new = (p + retrieved)[:, :, None] * (p - retrieved)[:, None]
        if modules:  # weights from slower to faster blocks only
            block = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2])
            new = new * (block[:, None] >= block[None]).to(new)
        matrix = 0.9999 * matrix + 0.5 * new
    query = normal(2, 9, seed=50)
    by_hand = (query[:, None] @ matrix)[:, 0]
    assert (memory.matrix() - matrix).abs().max() < 1e-10
    assert (memory.product()(query[:, None])[:, 0] - by_hand).abs().max() < 1e-10
    if modules is None:
        keys, values = memory.pairs()
        assert (attend(query, keys, values) - by_hand).abs().max() < 1e-10
    h = leaky_clamp(query)
    for _ in range(5):
        h = leaky_clamp(0.8 * h + (h[:, None] @ matrix)[:, 0])
    assert (memory.attractor(query) - h).abs().max() < 1e-10
    with_two = memory.attractor(torch.stack([query, 2 * query], 1))
    assert (with_two[:, 0] - h).abs().max() < 1e-10


def test_outer_products_queried_by_position_are_attention_over_positions():
    """Whittington et al. (2022): of p_i = g_i ⊗ x_i, the query g ⊗ 1, read out by a sum over g, is attention with the
    keys g_i and values that depend on stimuli alone, if Σ x_i = 1 and all codes have one sum."""
    g, x = normal(2, 8, 5, seed=1), torch.eye(6, dtype=torch.float64)[torch.arange(16).reshape(2, 8) % 6]
    g = g - g.mean(2, keepdim=True) + 0.2  # sums of 1
    memory = HebbianMemory(forgetting=1.0, rate=1.0)
    for k in range(8):
        p = (g[:, k, :, None] * x[:, k, None]).flatten(1)
        memory = memory.store(p, torch.zeros_like(p))
    query = normal(2, 5, seed=2)
    retrieved = memory.product()(query.repeat_interleave(6, 1)[:, None])[:, 0]
    assert (retrieved.unflatten(1, (5, 6)).sum(1) - attend(query, g, x)).abs().max() < 1e-10


def test_modules_may_stop_early():
    """A module that stops after k steps keeps the activity that it had then."""
    memory = HebbianMemory(modules=(3, 2))
    for k in range(4):
        memory = memory.store(normal(1, 5, seed=k), 0.1 * normal(1, 5, seed=20 + k))
    query = 0.3 * normal(1, 5, seed=9)
    one, mixed = memory.attractor(query, steps=1), memory.attractor(query, steps=(3, 1))
    assert torch.equal(mixed[:, 3:], one[:, 3:]) and not torch.equal(mixed[:, :3], one[:, :3])
    empty = HebbianMemory(modules=(3, 2)).attractor(query)
    h = leaky_clamp(query)
    for _ in range(5):
        h = leaky_clamp(0.8 * h)
    torch.testing.assert_close(empty, h)


def test_attention_by_hand_and_by_torch():
    model = TEMTransformer(stimuli=5, size=6, seed=3).double()
    walk = GridWorld(3, 3, stimuli=5).walk(9, 2, generator=seeded(1))
    e = model.positions(walk.actions)
    attention = model.attention(walk.actions)
    predicted = model(walk.observations, walk.actions)
    values = torch.eye(5, dtype=torch.float64)[walk.observations]
    for t in range(1, 9):
        for b in range(2):
            scale = float(model.log_scale.exp().detach()) * np.log(max(t + 1, 3))
            weights = torch.softmax(scale * (e[:t, b] @ e[t, b]), 0)
            torch.testing.assert_close(attention[t, b, :t], weights)
            expected = torch.log(0.98 * weights @ values[:t, b] + 0.02 / 5)
            torch.testing.assert_close(predicted[t, b], expected)
            same = scaled_dot_product_attention(
                e[t : t + 1, b][None], e[:t, b][None], values[:t, b][None], scale=scale
            )
            torch.testing.assert_close(same[0, 0], weights @ values[:t, b])
    assert (attention[0] == 0).all() and torch.allclose(predicted[0].exp(), torch.full((2, 5), 0.02 / 5).double())


@pytest.mark.parametrize("make", [lambda: TEM(stimuli=9, modules=(4, 3), code=5), lambda: TEMTransformer(9, size=8)])
def test_predictions_come_before_what_they_predict(make):
    """The stimulus of step t and later ones, and actions from t on, do not change what was predicted at t."""
    model = make()
    walk = GridWorld(3, 3, stimuli=9).walk(8, 3, generator=seeded(2))
    before = model(walk.observations, walk.actions)
    changed, other = walk.observations.clone(), walk.actions.clone()
    changed[5:], other[5:] = (changed[5:] + 1) % 9, (other[5:] + 1) % 4
    after = model(changed, other)
    assert torch.equal(before[:6], after[:6])
    assert (before[6:] != after[6:]).any()
    # environments do not meet
    alone = model(walk.observations[:, :1], walk.actions[:, :1])
    torch.testing.assert_close(alone, before[:, :1])


@pytest.mark.parametrize("positions", ["recurrent", "fixed"])
def test_path_integration(positions):
    """With rotations that commute, positions depend on the place alone, and so does where attention goes."""
    model = TEMTransformer(stimuli=9, size=8, positions=positions).double()
    def skew_of(rotation):
        """The logarithm of rotations by blocks of two."""
        return torch.from_numpy(logm(rotation.numpy()).real)

    north, east = (
        torch.block_diag(*(torch.tensor([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) for a in angles))
        for angles in ((0.7, -1.1, 0.4, 2.0), (-0.3, 0.9, 1.3, 0.5))
    )
    if positions == "recurrent":
        with torch.no_grad():
            half = torch.stack([skew_of(r) for r in (north, east, north.T, east.T)])
            model.turns.copy_(half.triu())
        torch.testing.assert_close(model.transitions()[1], east)
    walk = GridWorld(4, 4, stimuli=9).walk(40, 3, generator=seeded(0))
    e = model.positions(walk.actions)
    same = walk.places[:, None] == walk.places[None]
    overlap = torch.einsum("tbi,sbi->tsb", e, e)
    if positions == "recurrent":
        assert (overlap[same] - 1).abs().max() < 1e-10 and overlap[~same].max() < 0.999
    else:
        assert (overlap[same] - 1).abs().max() > 0.1  # the step's number knows nothing of places


def test_tem_inference_by_hand():
    """One step into a world: the code is the start's, mixed with what an empty memory recognises."""
    model = TEM(stimuli=6, modules=(3, 2), code=4, frequencies=(0.9, 0.2)).double()
    run = model.run(torch.tensor([[4]]), torch.tensor([[0]]))
    x = model.two_hot[4]
    assert x.sum() == 2 and len(model.two_hot.unique(dim=0)) == 6
    y = torch.relu(x - x.mean())
    y = torch.sigmoid(torch.ones(())) * y / y.norm()  # the frequency drops out
    g = run.inferred[0, 0]
    p = torch.cat([torch.outer(g[:3], y).flatten(), torch.outer(g[9:11], y).flatten()])
    torch.testing.assert_close(run.places[0, 0], torch.where(p > 0, p.clamp(max=1), 0.01 * p.clamp(min=-1)))
    torch.testing.assert_close(run.path[0, 0], model.start)
    h = leaky_clamp(torch.cat([y.repeat(3), y.repeat(2)]))
    for _ in range(2):
        h = leaky_clamp(0.8 * h)
    torch.testing.assert_close(run.recognised[0, 0], h)


def test_tem_takes_its_memories_from_the_walk():
    """After warm-up the losses agree with a plain sum, and gradients reach every parameter."""
    model = TEM(stimuli=9, modules=(4, 3), code=5, warmup=0).double()
    walk = GridWorld(3, 3, stimuli=9).walk(12, 4, generator=seeded(0))
    loss, run = model.loss(*walk[:2]), model.run(*walk[:2])
    plain = 0.0
    for part in (run.predicted, run.recalled, run.read):
        plain -= torch.stack([part[t, b, walk.observations[t, b]] for t in range(12) for b in range(4)]).mean()
    for a, b in ((run.places, run.retrieved), (run.places, run.recognised), (run.inferred, run.path)):
        plain += ((a - b) ** 2).sum(2).mean()
    plain += 0.01 * (run.inferred**2).sum(2).mean() + 0.01 * run.places.abs().sum(2).mean()
    torch.testing.assert_close(loss, plain)
    loss.backward()
    for name, p in model.named_parameters():
        assert p.grad is not None and p.grad.abs().max() > 0, name


def walks(dtype):
    return [tuple(GridWorld(2, 2, stimuli=6).walk(10, 4, generator=seeded(k))[:2]) for k in range(3)]


def learner(make, rate):
    def build(dtype):
        model = make().to(dtype)
        return WorldLearner(model, torch.optim.Adam(model.parameters(), rate), clip=1.0)

    return build


CASES = {
    "TEM": Case(
        WorldLearner, learner(lambda: TEM(stimuli=6, modules=(3, 2), code=4, warmup=0), 0.02), walks,
        spoil=lambda batch: (batch[0] + 6, batch[1]), rounds=8,
    ),
    "TEM-t": Case(
        WorldLearner, learner(lambda: TEMTransformer(6, size=8), 0.02), walks,
        spoil=lambda batch: (batch[0] - 1, batch[1]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_learners_laws(law, name):
    law(CASES[name], torch.float64 if law.__name__ == "it_learns" else torch.float32)


def test_tem_t_infers_what_it_never_saw():
    """In a dozen seconds' worth of updates, a few of them: new edges to known places of new environments."""
    import ranvier as rv

    torch.manual_seed(0)
    world = GridWorld(3, 3)
    model = TEMTransformer(size=24)
    trained = WorldLearner(model, torch.optim.Adam(model.parameters(), 1e-2), clip=1.0)
    rv.fit(trained, Walks(world, 20, 16, 150), 1, progress=False)
    walk = world.walk(20, 200, generator=seeded(7))
    _, inferred = novelty(walk)
    with torch.no_grad():
        right = model(walk.observations, walk.actions).argmax(2) == walk.observations
    assert inferred.sum() > 200
    assert right[inferred].float().mean() > 0.9


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: GridWorld(1, 1), ValueError, "two at least"),
        (lambda: GridWorld(2, 2).walk(5, 0), ValueError, "batch is 0"),
        (lambda: GridWorld(2, 2).walk(5, 1, straight=0), ValueError, "straight is 0"),
        (lambda: GridWorld(2, 2).walk(5, 1, start=torch.tensor([4])), ValueError, "places from 0 to 3"),
        (lambda: GridWorld(2, 2).along(np.zeros((5, 2))), ValueError, "both directions"),
        (lambda: GridWorld(2, 2).along(np.full((5, 2), np.nan)), ValueError, "NaN"),
        (lambda: GridWorld(2, 2).along(np.zeros(5)), ValueError, r"\(N, 2\)"),
        (lambda: TEM(stimuli=50), ValueError, "45 pairs"),
        (lambda: TEM(frequencies=(0.5,)), ValueError, "one within"),
        (lambda: TEMTransformer(positions="learned"), ValueError, "'learned'"),
        (lambda: TEMTransformer()(torch.zeros(3, 2), torch.zeros(3, 2)), TypeError, "torch.float32"),
        (lambda: TEMTransformer()(torch.zeros(3).long(), torch.zeros(3).long()), ValueError, r"\(T, B\)"),
        (lambda: TEMTransformer()(torch.full((3, 2), 45), torch.zeros(3, 2).long()), ValueError, "holds 45"),
        (lambda: TEMTransformer()(torch.zeros(3, 2).long(), torch.full((3, 2), 4)), ValueError, "holds 4"),
        (lambda: HebbianMemory(modules=(2, 2)).attractor(torch.zeros(1, 4), steps=(1,)), ValueError, "one a module"),
        (lambda: WorldLearner(torch.nn.Linear(2, 2), None), TypeError, "loss"),
    ],
)  # fmt: skip
def test_wrong_values(call, kind, words):
    with pytest.raises(kind, match=words):
        call()


def test_free_transitions_start_as_rotations_and_leave_them():
    """Equal to the rotations at the start, of length 1 on long walks even where matrices grow; gradients by all."""
    actions = torch.randint(0, 4, (60, 3), generator=torch.Generator().manual_seed(0))
    turning, free = (TEMTransformer(size=8, transitions=kind, seed=1) for kind in ("rotations", "free"))
    torch.testing.assert_close(free.positions(actions), turning.positions(actions), atol=1e-4, rtol=0)
    with torch.no_grad():
        free.turns.mul_(3.0)
    codes = free.positions(actions)
    torch.testing.assert_close(codes.norm(dim=2), torch.ones(60, 3))
    observations = torch.randint(0, 45, (60, 3), generator=torch.Generator().manual_seed(1))
    free.loss(observations, actions).backward()
    assert (free.turns.grad.flatten(1).abs().sum(1) > 0).all()
    with pytest.raises(ValueError, match="transitions is 'any'"):
        TEMTransformer(transitions="any")
