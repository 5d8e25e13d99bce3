"""Networks of evaluators against a plain recursion, call by call."""

import pytest

from ranvier.interpret import Review, evaluate
from tests.laws.oracles import oracle

ROLES = ("a", "b", "c", "d")


def judge(question, first, second, role, reviews):
    """Scores that depend on everything a judge is shown."""
    base = (len(first) + ROLES.index(role), 2.0 * len(second) - ROLES.index(role))
    shown = [sum(r.scores[k] for r in reviews) for k in (0, 1)]
    return Review((base[0] + 0.1 * shown[0], base[1] + 0.2 * shown[1]), f"{role}{len(reviews)}")


@oracle
def by_hand(answers, depth, sees):
    totals, calls = [0.0, 0.0], 0
    for flip in (False, True):
        first, second = answers[::-1] if flip else answers

        def review(layer, k, first=first, second=second):
            if layer == 0:
                return judge("", first, second, ROLES[k], [])
            near = range(4) if sees == "all" else [j for j in (k - 1, k, k + 1) if 0 <= j < 4]
            return judge("", first, second, ROLES[k], [review(layer - 1, j) for j in near])

        for layer in range(depth):
            for k in range(4):
                a, b = review(layer, k).scores
                totals[0] += b if flip else a
                totals[1] += a if flip else b
                calls += 1
    return [t / calls for t in totals], calls


@pytest.mark.parametrize("sees", ["neighbours", "all"])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_scores_against_a_recursion(depth, sees):
    result = evaluate(judge, "q", ("long answer", "short"), ROLES, depth=depth, sees=sees)
    expected, calls = by_hand(("long answer", "short"), depth, sees)
    assert result.scores == pytest.approx(expected, rel=1e-14) and result.calls == calls
    assert result.layers.shape == (depth, 2) and result.layers.mean(0).tolist() == pytest.approx(expected)
    assert result.preference == 1 + int(expected[1] > expected[0])


def test_swapping_cancels_position_and_changes_sides_with_the_answers():
    def biased(question, first, second, role, reviews):
        return Review((float(first) + 5.0, float(second)))

    assert evaluate(biased, "q", ("1", "2"), ROLES).preference == 2
    assert evaluate(biased, "q", ("1", "2"), ROLES, swap=False).preference == 1
    assert evaluate(biased, "q", ("2", "2"), ROLES).preference == 0
    a, b = (evaluate(judge, "q", pair, ROLES).scores for pair in (("xx", "y"), ("y", "xx")))
    assert a == b[::-1]


def test_roles_are_made_for_each_sample():
    calls = []

    def roles(question, answers):
        calls.append((question, answers))
        return [f"{question} {k}" for k in range(3)]

    assert evaluate(lambda *a: Review((1.0, 0.0)), "why", ("a", "b"), roles).roles == ("why 0", "why 1", "why 2")
    assert calls == [("why", ("a", "b"))]


def test_mistakes_are_named():
    fair = lambda *a: Review((1.0, 1.0))  # noqa: E731
    for arguments, message in (
        ({"roles": []}, "roles are none"),
        ({"sees": "some"}, "sees is 'some'"),
        ({"depth": 0}, "depth is 0"),
        ({"judge": lambda *a: Review((float("nan"), 1.0))}, "a score of role 'a' is nan"),
    ):
        options = {"judge": fair, "question": "q", "answers": ("x", "y"), "roles": ROLES} | arguments
        with pytest.raises(ValueError, match=message):
            evaluate(**options)
