"""Active inference: beliefs against Bayes and by enumeration, values against pymdp's own, behaviour in a T-maze."""

import json
import math
from pathlib import Path

import pytest
import torch

from ranvier.energies import Descent
from ranvier.energies.predictive.active_inference import (
    BeliefEnergy,
    GenerativeModel,
    all_policies,
    expected_free_energy,
    infer_states,
    plan,
    predict_states,
)
from tests.laws.cells import check_cell
from tests.laws.oracles import oracle

F64 = torch.float64
REFERENCE = json.loads((Path(__file__).parent / "reference" / "pymdp.json").read_text())["cases"]


def stored(name):
    case = REFERENCE[name]
    return case, GenerativeModel(*(tuple(torch.tensor(p, dtype=F64) for p in case[letter]) for letter in "ABCD"))


@pytest.mark.parametrize("name", REFERENCE)
def test_beliefs_values_and_choices_are_pymdps(name):
    """pymdp adds e^-16 to each of up to 24 probabilities of outcomes before their logarithms, at every time."""
    case, model = stored(name)
    beliefs = infer_states(model, case["observation"], model.D)
    for result, expected in zip(beliefs, case["beliefs"], strict=True):
        torch.testing.assert_close(result, torch.tensor(expected, dtype=F64), atol=1e-7, rtol=0)
    policies = torch.tensor(case["policies"])
    assert torch.equal(policies, all_policies(model, policies.shape[1]))
    prediction = plan(model, beliefs, policies, gamma=case["gamma"])
    value = torch.tensor(case["value"], dtype=F64)
    torch.testing.assert_close(-prediction.expected.total.sum(1), value, atol=2 * 24 * math.exp(-16), rtol=0)
    torch.testing.assert_close(
        prediction.probabilities, torch.tensor(case["probabilities"], dtype=F64), atol=1e-5, rtol=0
    )
    only = plan(model, beliefs, policies, gamma=case["gamma"], epistemic=0.0)
    torch.testing.assert_close(only.probabilities, torch.tensor(case["reward_only"], dtype=F64), atol=1e-6, rtol=0)


def random_model(seed=0, outcomes=(3, 4), states=(3, 2), actions=(2, 1)):
    g = torch.Generator().manual_seed(seed)

    def columns(*shape):
        p = -torch.rand(*shape, generator=g, dtype=F64).log()
        return p / p.sum(0)

    return GenerativeModel(
        tuple(columns(o, *states) for o in outcomes),
        tuple(columns(s, s, u) for s, u in zip(states, actions, strict=True)),
        tuple(torch.randn(o, generator=g, dtype=F64) for o in outcomes),
        tuple(columns(s) for s in states),
    )


def test_one_factor_is_bayes_rule():
    model = random_model(states=(5,), actions=(2,))
    (result,) = infer_states(model, (1, 3), model.D)
    posterior = model.D[0] * model.A[0][1] * model.A[1][3]
    torch.testing.assert_close(result, posterior / posterior.sum())


def test_the_free_energy_bounds_surprise_and_is_exact_with_one_factor():
    for states, exact in (((5,), True), ((3, 2), False)):
        model = random_model(states=states, actions=tuple(2 for _ in states))
        prior = model.D[0] if exact else model.D[0][:, None] * model.D[1]
        surprise = -float((prior * model.A[0][1] * model.A[1][3]).sum().log())
        energy = BeliefEnergy(model.log_likelihood((1, 3))[None], model.D)
        settled = Descent(energy, tol=1e-10).settle(energy.init_state(1), trace=True)
        assert settled.trace.diff(dim=0).max() <= 1e-12
        gap = float(settled.energy) - surprise
        assert abs(gap) < 1e-10 if exact else 1e-4 < gap < 0.2


@oracle
def by_enumeration(model, q):
    """F of two factors, summed state by state."""
    total = 0.0
    for i, a in enumerate(q[0].tolist()):
        for j, b in enumerate(q[1].tolist()):
            joint = float(model.D[0][i] * model.D[1][j] * model.A[0][1, i, j] * model.A[1][3, i, j])
            total += a * b * (math.log(a * b) - math.log(joint))
    return total


def test_the_energy_by_enumeration_and_its_force_on_the_simplex():
    model = random_model()
    energy = BeliefEnergy(model.log_likelihood((1, 3))[None], model.D)
    x = torch.randn(1, 5, generator=torch.Generator().manual_seed(1), dtype=F64).requires_grad_()
    value, force = energy.energy_and_force(x)
    q = [b[0].detach() for b in energy.beliefs(x)]
    assert float(value.detach()) == pytest.approx(by_enumeration(model, q), abs=1e-12)
    (slope,) = torch.autograd.grad(value.sum(), x)  # ∂F/∂x = J ∂F/∂q, J the softmax's Jacobian, blind to a constant
    expected = [-p * (f - (p * f).sum()) for p, f in zip(q, force[0].detach().split([3, 2]), strict=True)]
    torch.testing.assert_close(slope[0], torch.cat(expected))


def test_belief_updating_is_a_lawful_cell():
    model = random_model()
    log_likelihood = model.log_likelihood((1, 3)).expand(3, 3, 2).clone().requires_grad_()
    energy = BeliefEnergy(log_likelihood, model.D)
    field = torch.randn(5, 3, 5, generator=torch.Generator().manual_seed(2), dtype=F64)
    check_cell(Descent(energy, steps=2), field, [log_likelihood])


def test_both_splits_of_the_expected_free_energy_by_enumeration():
    """KL + <H[P(o|s)]> = −I(s; o) − <ln P̃>, each summed over outcomes of both modalities and states of both factors."""
    model = random_model()
    policies = all_policies(model, 2)
    result = expected_free_energy(model, model.D, policies)
    torch.testing.assert_close(result.total, -result.epistemic - result.pragmatic)
    preferred = [torch.softmax(c, 0) for c in model.C]
    for k, policy in enumerate(policies):
        q = list(model.D)
        for t, action in enumerate(policy):
            q = [b[:, :, u] @ p for b, u, p in zip(model.B, action.tolist(), q, strict=True)]
            joint = torch.einsum("oij,pij,i,j->opij", *model.A, *q)
            outcomes, states = joint.sum((2, 3)), torch.einsum("i,j->ij", *q)
            expected = preferred[0][:, None] * preferred[1]
            assert float(result.risk[k, t]) == pytest.approx(float((outcomes * (outcomes / expected).log()).sum()))
            ambiguity = -(joint * (joint / states).log()).sum()
            assert float(result.ambiguity[k, t]) == pytest.approx(float(ambiguity))
            information = (joint * (joint / (outcomes[:, :, None, None] * states)).log()).sum()
            assert float(result.epistemic[k, t]) == pytest.approx(float(information))
            assert float(result.pragmatic[k, t]) == pytest.approx(float((outcomes * expected.log()).sum()))
    entropy = result.epistemic + result.ambiguity  # H[Q(o)] for the ambiguity leaves nothing but reward
    torch.testing.assert_close(result.risk + entropy, -result.pragmatic)


def test_beliefs_are_carried_forward_by_the_action():
    """P(s') = Σ_s P(s' | s, u) P(s), state by state."""
    model = random_model(actions=(2, 3))
    result = predict_states(model, model.D, (1, 2))
    for f, action in enumerate((1, 2)):
        size = model.states[f]
        expected = [sum(float(model.B[f][k, s, action] * model.D[f][s]) for s in range(size)) for k in range(size)]
        assert result[f].tolist() == pytest.approx(expected, rel=1e-12)


def test_in_the_t_maze_the_cue_comes_first_and_then_the_rewarded_arm():
    _, model = stored("T-maze")
    centre = infer_states(model, (0, 0, 1), model.D)
    first = plan(model, centre, all_policies(model, 2)).likeliest()
    assert first == (3, 0)
    only = plan(model, centre, all_policies(model, 2), epistemic=0.0)
    assert only.likeliest()[0] in (1, 2) and only.first[3, 0] < 0.1
    at_cue = predict_states(model, centre, first)
    for cue, arm in ((0, 1), (1, 2)):
        informed = infer_states(model, (3, 0, cue), at_cue)
        assert informed[1][cue] > 0.999
        assert plan(model, informed, all_policies(model, 1)).likeliest() == (arm, 0)


def test_first_actions_are_drawn_by_their_probability():
    model = random_model(actions=(3, 2))
    prediction = plan(model, model.D, all_policies(model, 2), gamma=1.0)
    assert sum(prediction.first.values()) == pytest.approx(1.0) and len(prediction.first) == 6
    g = torch.Generator().manual_seed(0)
    drawn = [prediction.sample(g) for _ in range(2000)]
    for action, p in prediction.first.items():
        assert drawn.count(action) / 2000 == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / 2000))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"A": (torch.ones(2, 2),)}, "no probability"),
        ({"A": (torch.full((2, 3), 0.5),)}, r"A\[0\] has shape \(2, 3\)"),
        ({"B": (torch.eye(2),)}, r"\(S, S, U\)"),
        ({"C": ()}, "an A and a C a modality"),
        ({"C": (torch.tensor([0.0, float("nan")]),)}, "finite preferences"),
        ({"D": (torch.tensor([1.5, -0.5]),)}, "no probability"),
    ],
)
def test_models_that_cannot_be(change, text):
    inputs = {
        "A": (torch.full((2, 2), 0.5),), "B": (torch.eye(2)[:, :, None],), "C": (torch.zeros(2),),
        "D": (torch.full((2,), 0.5),),
    }  # fmt: skip
    with pytest.raises(ValueError, match=text):
        GenerativeModel(**(inputs | change))


def test_refusals():
    model = random_model()
    with pytest.raises(ValueError, match="outcome 3 of modality 0"):
        infer_states(model, (3, 0), model.D)
    with pytest.raises(ValueError, match="one a modality"):
        infer_states(model, (0,), model.D)
    with pytest.raises(ValueError, match="action is not there"):
        plan(model, model.D, torch.ones(1, 1, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match="whole numbers"):
        plan(model, model.D, torch.ones(1, 2))
    with pytest.raises(ValueError, match="horizon"):
        all_policies(model, 0)
    with pytest.raises(ValueError, match="priors of"):
        BeliefEnergy(torch.zeros(1, 2, 2), model.D)
