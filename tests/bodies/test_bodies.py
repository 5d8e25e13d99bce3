"""The swimmer, its circuit and how it learns."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import numpy as np
import pytest
import torch

from ranvier.bodies import NCAP, Swimmer, evolve, policy_gradient
from ranvier.bodies.policy_gradient import _advantages
from tests.laws.oracles import oracle

pytest.importorskip("mujoco", reason="mujoco is not installed (ranvier[bodies])")
pytest.importorskip("dm_control", reason="dm_control is not installed (ranvier[bodies])")


@oracle
def by_hand(q: np.ndarray, step: int, w: tuple[float, float, float, float]) -> list[float]:
    """The circuit joint by joint."""

    def clip(x):
        return min(1.0, max(0.0, x))

    n, torques = len(q), []
    for i in range(n):
        if i == 0:
            dorsal, ventral = clip(w[1] * (step % 60 < 30)), clip(w[1] * (step % 60 >= 30))
        else:
            angle = q[i - 1] * (n + 1) / (2 * np.pi)
            dorsal, ventral = clip(w[0] * clip(angle)), clip(w[0] * clip(-angle))
        torques.append(clip(w[2] * dorsal + w[3] * ventral) - clip(w[2] * ventral + w[3] * dorsal))
    return torques


def test_the_circuit_by_hand():
    rng = np.random.default_rng(0)
    cell = NCAP(5)
    with torch.no_grad():
        cell.weight.copy_(torch.tensor([[0.7, 0.9, 0.8, -0.3]]))
    control, state = cell.controller(), cell.init_state(1)
    for k in range(70):
        q = rng.uniform(-1.5, 1.5, 5)
        expected = by_hand(q, k, (0.7, 0.9, 0.8, -0.3))
        state, y = cell.step(state, torch.from_numpy(q)[None])
        np.testing.assert_allclose(y[0].detach(), expected, atol=1e-12)
        np.testing.assert_allclose(control(q, k), expected, atol=1e-12)


def test_signs_are_kept_and_gradients_reach_the_weights():
    cell = NCAP(4)
    assert sum(p.numel() for p in cell.parameters()) == 4
    with torch.no_grad():
        cell.weight.mul_(-0.5)  # learning that crosses zero
    x = torch.randn(40, 3, 4, dtype=torch.float64)
    y, state = cell(x)
    assert y.shape == (40, 3, 4)
    assert state["step"].tolist() == [[40.0]] * 3
    np.testing.assert_allclose(y[3, 1].detach(), by_hand(x[3, 1].numpy(), 3, (0.5, 0.5, 0.5, -0.5)), atol=1e-12)
    y.square().sum().backward()
    # one side of a segment is active at a time: inhibition of the other, silent one, changes nothing
    assert (cell.weight.grad[:, :3] != 0).all() and (cell.weight.grad[:, 3] == 0).all()
    first, middle = cell(x[:15])
    rest, _ = cell(x[15:], middle)
    torch.testing.assert_close(torch.cat([first, rest]), y)
    assert NCAP(4, shared=False).weight.shape == (4, 4)
    assert set(NCAP(9, signed=False, shared=False).weight.flatten().tolist()) == {-1.0, 1.0}


def test_an_episode_is_the_same_to_the_bit():
    body, control = Swimmer(6), NCAP(5).controller()
    one, other = body.run(control, 60, seed=3), body.run(control, 60, seed=3)
    again = Swimmer(6).run(control, 60, seed=3)
    for name, value in asdict(one).items():
        assert np.array_equal(value, getattr(other, name)) and np.array_equal(value, getattr(again, name))
    assert not np.array_equal(one.joints, body.run(control, 60, seed=4).joints)


def test_rewards_and_rest():
    body = Swimmer(5)
    quiet = body.run(lambda joints, step: np.zeros(4), 100, seed=0)
    assert quiet.places.shape == (100, 5, 2)
    assert np.abs(quiet.speed[80:]).max() < 0.02  # the fluid stops it
    swim = body.run(NCAP(4).controller(), 100, seed=0)
    assert swim.total == pytest.approx(np.clip(swim.speed / 0.1, 0, 1).sum())
    distance = np.diff(swim.places[:, 0], axis=0) / 0.03
    assert swim.speed[60:].mean() == pytest.approx(np.linalg.norm(distance[59:], axis=1).mean(), rel=0.3)


def test_untrained_it_swims_and_backward_it_does_not():
    body, control = Swimmer(6), NCAP(5).controller()
    forward = body.run(control, 200, seed=0).total
    assert forward > 100
    assert body.run(lambda q, k: -control(q, k), 200, seed=0).total < 0.1 * forward


def test_no_display_is_needed_and_none_is_asked_for():
    code = (
        "import sys, warnings; warnings.simplefilter('error')\n"
        "from ranvier.bodies import NCAP, Swimmer\n"
        "Swimmer(4).run(NCAP(3).controller(), 5)\nprint('dm_control' in sys.modules)"
    )
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "MUJOCO_GL")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "False"


def quadratic(x: np.ndarray, seed: int) -> float:
    return -float(((x - 1) ** 2).sum()) + 1e-3 * np.random.default_rng(seed).standard_normal()


def test_evolution():
    x, log = evolve(quadratic, np.zeros(4), 200, lr=0.05, decay=0.0)
    assert np.abs(x - 1).max() < 0.3 and log[-1] > log[0]
    with ThreadPoolExecutor(2) as pool:
        parallel, same = evolve(quadratic, np.zeros(4), 200, lr=0.05, decay=0.0, executor=pool)
    assert np.array_equal(parallel, x) and same == log
    assert not np.array_equal(evolve(quadratic, np.zeros(4), 20, seed=1)[0], evolve(quadratic, np.zeros(4), 20)[0])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Swimmer(2), "links is 2"), (lambda: NCAP(0), "joints is 0"),
        (lambda: Swimmer(3).run(lambda q, k: np.zeros(5), 2), "torques of step 0"),
        (lambda: Swimmer(3).run(lambda q, k: np.full(2, np.nan), 2), "finite"),
        (lambda: evolve(quadratic, np.zeros(2), 1, population=3), "even number"),
        (lambda: evolve(lambda x, s: np.nan, np.zeros(2), 1), "fitness is nan"),
        (lambda: NCAP(3).step(NCAP(3).init_state(1), torch.zeros(1, 3)), "torch.float32"),
    ],
)  # fmt: skip
def test_wrong_values(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_an_unstable_simulation_is_an_error(tmp_path, monkeypatch):
    """MuJoCo itself warns and resets the state; an episode made of two would be returned."""
    import mujoco

    monkeypatch.chdir(tmp_path)  # where MuJoCo would write its log
    body = Swimmer(3)
    body._model.opt.gravity[:] = 1e14
    with pytest.raises(FloatingPointError, match="step 0"):
        body.run(lambda q, k: np.zeros(2), 3)
    assert not list(tmp_path.iterdir()) and mujoco.get_mju_user_warning() is None


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'ranvier\[bodies\]'"):
        Swimmer(6)


class Bandit:
    """A body of one step and one joint that earns −(torque − 1)²."""

    def run(self, control, steps, *, seed):
        joints = np.random.default_rng(seed).uniform(0.5, 1.5, (steps, 1))
        torques = np.array([control(q, k) for k, q in enumerate(joints)])
        return type("Earned", (), {"rewards": -((torques[:, 0] - 1) ** 2)})()


class Line(torch.nn.Module):
    """torque = w · joint."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))

    def init_state(self, batch):
        return {}

    def step(self, state, x):
        return state, x * self.weight

    def forward(self, x, state=None):
        return x * self.weight, {}


def test_the_policy_gradient_points_where_the_reward_grows():
    """d/dw E[−(w q + noise − 1)²] > 0 at w = 0; the best w is E[q]/E[q²] = 1/1.083."""
    cell = Line()
    log = policy_gradient(Bandit(), cell, 80, episodes=8, steps=4, sigma=0.3, lr=0.03, discount=0.0, seed=1)
    assert cell.weight.item() == pytest.approx(12 / 13, abs=0.2)  # three deviations over five seeds
    assert np.mean(log[-20:]) > np.mean(log[:5])
    again = Line()
    assert policy_gradient(Bandit(), again, 3, steps=4, seed=1) == policy_gradient(Bandit(), Line(), 3, steps=4, seed=1)
    for call, error in (
        (lambda: policy_gradient(Bandit(), Line(), 1, episodes=1), ValueError),
        (lambda: policy_gradient(Bandit(), Line(), 1, discount=1.5), ValueError),
        (lambda: policy_gradient(Bandit(), torch.nn.Linear(1, 1), 1), TypeError),
    ):
        with pytest.raises(error, match="expected"):
            call()


@oracle
def compared(rewards: np.ndarray, discount: float) -> np.ndarray:
    """Σ_{s ≥ t} discount^(s−t) r_s less the mean over episodes, over the deviation of all, by definition."""
    T = len(rewards)
    to_go = np.array([sum(discount ** (s - t) * rewards[s] for s in range(t, T)) for t in range(T)])
    apart = to_go - to_go.mean(1)[:, None]
    return apart / np.sqrt((apart**2).mean())


def test_advantages_are_discounted_and_compared():
    rewards = np.random.default_rng(0).standard_normal((7, 3))
    for discount in (0.0, 0.8, 1.0):
        np.testing.assert_allclose(_advantages(rewards, discount), compared(rewards, discount), atol=1e-12)
    assert not _advantages(np.ones((5, 2)), 0.9).any()


def test_the_controller_is_the_cell_for_any_weights():
    rng = np.random.default_rng(0)
    for k in range(20):
        cell = NCAP(4, signed=False, shared=False, magnitudes="random", seed=k)
        control, state = cell.controller(2 * rng.standard_normal(16)), cell.init_state(1)
        other = cell.controller(cell.weight.detach().numpy())
        for step in range(40):
            q = rng.uniform(-2, 2, 4)
            state, y = cell.step(state, torch.from_numpy(q)[None])
            np.testing.assert_allclose(other(q, step), y[0].detach(), atol=1e-12)
            assert np.abs(control(q, step)).max() <= 1
    with pytest.raises(ValueError, match="expected 4"):
        NCAP(4).controller(np.zeros(3))
    with pytest.raises(ValueError, match="magnitudes"):
        NCAP(4, magnitudes="two")


def test_the_worm_bends_behind_a_bend():
    """The measured nervous system turns a bend ahead to one side into torque to that side, and back."""
    from ranvier.atlas.bodies._worm import worm_controller

    torques = {}
    for side in (1.0, -1.0, 0.0):
        control = worm_controller(6, oscillator=0.0)
        for step in range(4):
            torques[side] = control(np.array([0.0, 0.0, 0.8 * side, 0.0, 0.0]), step)
    assert torques[1.0][3] > torques[0.0][3] + 0.1 and torques[-1.0][3] < torques[0.0][3] - 0.1
    assert abs(torques[1.0][0] - torques[0.0][0]) < 0.3 * abs(torques[1.0][3] - torques[0.0][3])
