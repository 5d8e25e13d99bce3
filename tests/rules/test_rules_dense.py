"""The dense step against one synapse at a time, closed forms and the equations of rates."""

import math
import re
import warnings

import numpy as np
import pytest
import torch

from ranvier import rules
from tests.laws.plasticity import Edges
from tests.rules.cases import CASES

R = {
    "additive": rules.STDP(A_plus=0.05, A_minus=0.06),
    "multiplicative": rules.STDP(A_plus=0.05, A_minus=0.06, mu_plus=1.0, mu_minus=1.0),
    "power": rules.STDP(A_plus=0.05, A_minus=0.06, mu_plus=0.3, mu_minus=0.4, w_min=-0.2, w_max=1.2),
    "van_rossum": rules.STDP(A_plus=0.05, A_minus=0.06, mu_minus=1.0),
    "nearest": rules.STDP(A_plus=0.05, A_minus=0.06, tau_plus=10.0, tau_minus=35.0, pairs="nearest"),
    "triplet": rules.TripletSTDP(A2_plus=0.01, A3_minus=0.02, A3_plus=0.03),
    "triplet_nearest": rules.TripletSTDP(A2_plus=0.01, A3_minus=0.02, A3_plus=0.03, pairs="nearest"),
    "inhibitory": rules.InhibitorySTDP(eta=0.05, target=30.0),
    "reward": rules.RewardSTDP(interval=4.0, tau_c=100.0, tau_d=30.0, A_plus=0.02, A_minus=0.01, baseline=0.02),
}
BATCH, PRES, POSTS, STEPS, DT = 2, 3, 4, 120, 0.5


def trains(seed=0, chance=0.06):
    rng = np.random.default_rng(seed)
    return rng.random((STEPS, BATCH, PRES)) < chance, rng.random((STEPS, BATCH, POSTS)) < chance


def run(rule, weight, pre, post, modulator=None, dt=DT, target=None):
    state, w = rule.init_state(weight, pre.shape[1]), weight.clone()
    for k in range(len(pre)):
        inputs = None if modulator is None else modulator[k]
        state, dw = rule.step(
            state, w, torch.from_numpy(pre[k]).double(), torch.from_numpy(post[k]).double(), inputs, dt=dt,
            target=None if target is None else {name: torch.from_numpy(x[k]) for name, x in target.items()},
        )  # fmt: skip
        w = w + dw
    return state, w


@pytest.mark.parametrize("rule", [*R.values(), *CASES.values()], ids=[*R, *(kind.__name__ for kind in CASES)])
def test_against_one_synapse_at_a_time(rule):
    pre, post = trains()
    start = torch.rand(BATCH, POSTS, PRES, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    rng = np.random.default_rng(2)
    reward = rng.random((STEPS, BATCH)) if rule.law.uses_modulator else None
    target = {name: rng.normal(-60.0, 12.0, (STEPS, BATCH, POSTS)) for name in rule.law.reads}
    _, w = run(rule, start, pre, post, None if reward is None else torch.from_numpy(reward), target=target)
    edges = np.indices((BATCH, POSTS, PRES)).reshape(3, -1)
    plain = Edges(rule, start.numpy()[tuple(edges)], DT)
    for k in range(STEPS):
        now = 0.0 if reward is None else reward[k, edges[0]]
        plain.step(k + 1, pre[k][edges[0], edges[2]].astype(int), post[k][edges[0], edges[1]].astype(int), now,
                   {name: x[k][edges[0], edges[1]] for name, x in target.items()})  # fmt: skip
    assert np.abs(w.numpy()[tuple(edges)] - plain.w).max() < 1e-12
    moved = np.abs(plain.w - start.numpy()[tuple(edges)]).max()
    assert (moved > 0.01) == rule.law.learns


@pytest.mark.parametrize("lag", [-30.0, -5.0, 0.0, 5.0, 30.0])
def test_the_window_of_one_pair(lag):
    """Δw(Δt) = A₊ exp(−Δt/τ₊) for Δt ≥ 0, −A₋ exp(Δt/τ₋) below."""
    rule = rules.STDP(tau_plus=12.0, tau_minus=25.0)
    pre, post = np.zeros((160, 1, 1), bool), np.zeros((160, 1, 1), bool)
    pre[70], post[70 + round(lag / DT)] = True, True
    _, w = run(rule, torch.full((1, 1), 0.5, dtype=torch.float64), pre, post)
    expected = 0.01 * math.exp(-lag / 12.0) if lag >= 0 else -0.012 * math.exp(lag / 25.0)
    assert w.item() - 0.5 == pytest.approx(expected, rel=1e-12)


def test_one_weight_for_a_batch_moves_by_the_mean_and_nothing_is_changed_in_place():
    rule, (pre, _) = R["additive"], trains()
    weight = torch.full((POSTS, PRES), 0.5, dtype=torch.float64)
    state = rule.init_state(weight, BATCH)
    saved = {k: v.clone() for k, v in state.items()}
    arguments = torch.from_numpy(pre[3]).double(), torch.ones(BATCH, POSTS).double()
    state, _ = rule.step(state, weight, *arguments)
    after, dw = rule.step(state, weight, *arguments)
    _, each = rule.step(state, weight.expand(BATCH, -1, -1), *arguments)
    assert torch.equal(dw, each.mean(0)) and dw.shape == weight.shape and dw.abs().max() > 0
    assert torch.equal(weight, torch.full_like(weight, 0.5))
    assert all(v.eq(0).all() for v in saved.values()) and after is not state
    single = rule.step(rule.init_state(weight.float(), BATCH), weight.float(), *arguments)[1]
    assert single.dtype == torch.float32


def test_rates_follow_their_equations():
    """With tau = 0 the traces are the rates: a plain re-derivation step by step."""
    g = torch.Generator().manual_seed(0)
    x = torch.rand(50, 1, 3, dtype=torch.float64, generator=g)
    y = torch.rand(50, 1, 2, dtype=torch.float64, generator=g)
    for rule, slope in (
        (rules.Hebb(eta=0.1, decay=0.05), lambda x, y, w, _: 0.1 * np.outer(y, x) - 0.05 * w),
        (rules.Oja(eta=0.1), lambda x, y, w, _: 0.1 * (np.outer(y, x) - (y**2)[:, None] * w)),
        (rules.BCM(eta=0.1, y_0=0.5, tau_theta=7.0, w_min=-9.0),
         lambda x, y, w, theta: 0.1 * np.outer(y * (y - theta), x)),
    ):  # fmt: skip
        w, theta = np.full((2, 3), 0.3), np.zeros(2)
        state, ours = rule.init_state(torch.full((2, 3), 0.3).double(), 1), torch.full((2, 3), 0.3).double()
        for k in range(50):
            a, b = x[k, 0].numpy(), y[k, 0].numpy()
            goal = b**2 / 0.5
            theta = goal + (theta - goal) * math.exp(-1 / 7.0)
            w = w + slope(a, b, w, theta)
            state, dw = rule.step(state, ours, x[k], y[k])
            ours = ours + dw
        assert np.allclose(ours.numpy(), w, atol=1e-12) and np.abs(w - 0.3).max() > 0.05


def test_a_rule_of_ones_own():
    class Threshold(rules.Rule):
        """Each spike of the target raises what was active, and lowers what was not."""

        traces = (rules.Trace("x", "pre", "tau"),)
        on_post = "A*(x - x_0)"
        tau: float = 10.0
        A: float = 0.1
        x_0: float = 0.2

    weight = torch.zeros(1, 2, dtype=torch.float64)
    state = Threshold().init_state(weight, 1)
    state, first = Threshold().step(state, weight, torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0]]))
    state, second = Threshold().step(state, weight, torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0]]))
    assert first.abs().max() == 0
    assert second.flatten().tolist() == pytest.approx([0.1 * (math.exp(-0.1) - 0.2), -0.02])


def test_what_does_not_fit_is_refused():
    for make, message in (
        (lambda: rules.STDP(tau_plus=-1.0), "a number above 0 ms"),
        (lambda: rules.STDP(w_min=1.0, w_max=0.0), "w_min < w_max"),
        (lambda: rules.STDP(pairs="some"), "one of 'all', 'nearest'"),
        (lambda: rules.TripletSTDP(pairs="some"), "one of 'all', 'nearest'"),
        (lambda: rules.STDP(A_plus=float("nan")), "A_plus of STDP is nan"),
        (lambda: rules.RewardSTDP(interval=0.0), "interval"),
        (lambda: rules.TripletSTDP.fitted("retina"), "hippocampus"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            make()
    weight = torch.zeros(4, 3)
    rule = rules.RewardSTDP()
    state, pre, post = rule.init_state(weight, 2), torch.zeros(2, 3), torch.zeros(2, 4)
    with pytest.raises(ValueError, match="has no modulator"):
        rule.step(state, weight, pre, post)
    with pytest.raises(ValueError, match="modulator has shape"):
        rule.step(state, weight, pre, post, torch.zeros(3))
    with pytest.raises(ValueError, match="multiple of the step"):
        rule.step(state, weight, pre, post, torch.zeros(2), dt=0.3)
    with pytest.raises(ValueError, match="expected \\(2, 3\\) and \\(2, 4\\)"):
        rule.step(state, weight, post, pre, torch.zeros(2))
    with pytest.raises(ValueError, match="weights have shape"):
        rule.init_state(torch.zeros(3, 4, 3), 2)

    class Wrong(rules.Rule):
        """Uses a name it has not."""

        on_pre = "-A*z"
        A: float = 1.0

    with pytest.raises(ValueError, match="uses 'z'"):
        Wrong()


def test_values_times_and_states_that_make_no_sense_are_refused():
    rule, weight, pre, post = rules.STDP(), torch.rand(3, 4), torch.ones(2, 4), torch.ones(2, 3)
    state, nan = rule.init_state(weight, 2), float("nan")
    for changed, text in (
        ({"pre": pre * nan}, "values in pre"), ({"post": post * math.inf}, "values in post"),
        ({"dt": 0.0}, "dt is 0"), ({"dt": -1.0}, "dt is -1"), ({"dt": nan}, "dt is nan"),
        ({"weight": torch.ones(3, 4, dtype=torch.int64)}, "weights are torch.int64"),
        ({"state": rules.TripletSTDP().init_state(weight, 2)}, "state is .*'x2'"),
        ({"state": rule.init_state(weight, 3)}, "state is"), ({"state": {}}, "state is {}"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=text):
            rule.step(**{"state": state, "weight": weight, "pre": pre, "post": post} | changed)
    reward = rules.RewardSTDP()
    with pytest.raises(ValueError, match="values in modulator"):
        reward.step(reward.init_state(weight, 2), weight, pre, post, torch.tensor([0.0, nan]))


def test_a_power_law_without_bounds_is_refused_and_numpys_numbers_are_taken():
    for exponent in ("mu_plus", "mu_minus"):
        with pytest.raises(ValueError, match="expected finite w_min and w_max"):
            rules.STDP(**{exponent: 0.5}, w_max=math.inf)
    assert rules.STDP(w_max=math.inf).w_max == math.inf
    assert rules.STDP(A_plus=np.float32(0.5)) == rules.STDP(A_plus=0.5)


@pytest.mark.parametrize(
    ("rule", "dt", "text"),
    [
        (rules.STDP(A_plus=1e-9, A_minus=0.01), 1.0, r"^STDP's on_post changes a weight of 1 by 1e-09, .* use weights"),
        (rules.STDP(tau_plus=1e7), 1.0, r"^STDP's trace \w+ decays in tau_plus = 1e\+07 ms, .* wrong by up to 0\.6 "),
        (rules.STDP(tau_minus=1e7), 1.0, r"trace \w+ decays in tau_minus = 1e\+07 ms"),
        (rules.RewardSTDP(tau_c=1e6), 0.1, r"trace \w+ decays in tau_c = 1e\+06 ms"),
    ],
)
def test_what_float32_loses_of_a_dense_layer_is_warned_of_once(rule, dt, text):
    """In float64 nothing is said."""
    spike, modulator = torch.ones(1, 1), torch.ones(1) if rule.law.uses_modulator else None
    for dtype in (torch.float64, torch.float32):
        weight = torch.ones(1, 1, dtype=dtype)
        state = rule.init_state(weight, 1)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(3):
                state, _ = rule.step(state, weight, spike, spike, modulator, dt=dt)
        if dtype == torch.float64:
            assert not caught
        else:
            assert len(caught) == 1 and re.search(text, str(caught[0].message)) and caught[0].filename == __file__
