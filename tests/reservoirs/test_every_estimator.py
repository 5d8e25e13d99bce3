"""scikit-learn's own checks on every estimator of the package; none is left out."""

import pytest
from sklearn.utils.estimator_checks import check_estimator

from tests.laws.estimators import APART, CASES, estimators


def test_no_estimator_is_left_out():
    cases = {type(case.estimator) for case in CASES.values()}
    missing = {kind.__name__ for kind in set(estimators()) - cases - set(APART)}
    assert not missing, f"give a Case in tests/laws/estimators.py to: {', '.join(sorted(missing))}"


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore")
def test_scikit_learn(name):
    case = CASES[name]
    answers = check_estimator(case.estimator, expected_failed_checks=dict(case.fails), on_fail=None, on_skip=None)
    bad = {row["check_name"]: row["exception"] for row in answers if row["status"] == "failed"}
    assert not bad
    assert {row["check_name"] for row in answers if row["status"] == "xfail"} == set(case.fails)
    assert sum(row["status"] == "passed" for row in answers) > 40
