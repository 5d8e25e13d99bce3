"""Supervised STDP with homeostasis: simulated weights and factor against the closed form, and the 1024-word table."""

import math

import pytest
import torch

import ranvier as rv

WORDS = torch.tensor([[k >> i & 1 for i in range(10)] for k in range(1024)])
#: nA: what one step's current through 20 MΩ must be to raise a membrane of 20 ms by 15 mV
NEEDED = 15 / (20 * (1 - math.exp(-1 / 20)))


def learned(*words: int, **kw) -> rv.learners.SupervisedSTDP:
    subject = rv.learners.SupervisedSTDP(**kw)
    subject.step((WORDS, torch.tensor([k in words for k in range(1024)]).long()))
    return subject


def total(subject: rv.learners.SupervisedSTDP) -> torch.Tensor:
    """Σ (2b − 1)(W1 − W0) of all words."""
    return (2 * WORDS - 1).double() @ (subject.weights[1] - subject.weights[0])


def test_the_threshold_is_the_papers():
    assert pytest.approx(15.378, abs=5e-4) == NEEDED


def test_stdp_leaves_the_window_at_the_teachers_lag():
    for lag in (5.0, 2.0, 11.0):
        subject = learned(341, lag=lag)
        expected = torch.stack([1 - WORDS[341], WORDS[341]]).double() * math.exp(-lag / 5)
        torch.testing.assert_close(subject.weights, expected, rtol=1e-9, atol=1e-12)
    assert learned(341, resolution=1 / 256).weights.max().item() == 94 / 256


@pytest.mark.parametrize("words", [(341,), (5, 6), (0, 511), (3, 7, 19)])
def test_the_factor_is_the_smallest_that_makes_each_word_fire(words):
    subject = learned(*words)
    weakest = total(subject)[list(words)].min().item()
    assert 0 <= subject.factor - NEEDED / weakest <= 1.01e-4
    assert torch.equal(subject.fires(WORDS), total(subject) * subject.factor >= NEEDED)


def test_one_word_and_the_papers_factor():
    subject = learned(37, resolution=1 / 256)
    labels = torch.zeros(1024).long()
    labels[37] = 1
    assert subject.evaluate((WORDS, labels)) == {"accuracy": 1.0, "examples": 1024}
    assert subject.factor == pytest.approx(4.188, abs=2e-4)


@pytest.mark.parametrize("apart", range(1, 10))
def test_two_words_at_a_distance(apart):
    other = 421 ^ ((1 << apart) - 1)
    subject = learned(421, other)
    labels = torch.zeros(1024).long()
    labels[[421, other]] = 1
    assert int(subject.fires(WORDS).sum()) == 2**apart
    assert subject.evaluate((WORDS, labels))["accuracy"] == 1 - (2**apart - 2) / 1024


def test_learned_one_after_the_other_and_resumed(tmp_path):
    both, one = learned(9, 12), learned(9)
    one.step(WORDS[[12]])
    torch.testing.assert_close(one.weights, both.weights, rtol=1e-12, atol=1e-12)
    assert one.factor == both.factor
    rv.fit(rv.learners.SupervisedSTDP(), [WORDS[[9]]], 1, tmp_path, progress=False)
    again = rv.learners.SupervisedSTDP()
    rv.fit(again, [WORDS[[9]]], 1, tmp_path, progress=False)
    assert torch.equal(again.weights, learned(9).weights) and again.factor == learned(9).factor


def test_refusals():
    with pytest.raises(ValueError, match="complementary"):
        learned(0, 1023)
    with pytest.raises(ValueError, match="of 0 and 1"):
        rv.learners.SupervisedSTDP().step(2 * WORDS)
    with pytest.raises(ValueError, match="no word to learn"):
        rv.learners.SupervisedSTDP().step((WORDS, torch.zeros(1024)))
    with pytest.raises(ValueError, match="lag is 0"):
        rv.learners.SupervisedSTDP(lag=0.0)


def test_labels_that_do_not_fit_the_words_are_refused():
    subject, words = rv.learners.SupervisedSTDP(4), torch.eye(4).long()[:1]
    before = subject.state_dict()
    for labels in (torch.ones(3), torch.tensor([math.nan]), torch.tensor([2])):
        for attempt in (subject.step, subject.evaluate):
            with pytest.raises(ValueError, match=r"expected \(1,\) of 0 and 1"):
                attempt((words, labels))
    with pytest.raises(ValueError, match="expected a pair"):
        subject.evaluate(words)
    assert torch.equal(subject.weights, before["weights"])
    for bad in ({"bits": 2.5}, {"resolution": -1.0}):
        with pytest.raises(ValueError, match="whole number of bits"):
            rv.learners.SupervisedSTDP(**bad)
