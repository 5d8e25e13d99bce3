"""A prediction market: an organisation whose wealth learns."""

from __future__ import annotations

from functools import reduce
from typing import Any

import torch
from torch import Tensor

from ranvier.learners.nested.interfaces import Distributions, Interface
from ranvier.learners.nested.lenses import DynamicLens


def prediction_market(wealth: Tensor, outcomes: int) -> DynamicLens:
    """Traders bet on an outcome by their predictions p_k, with shares w_k of the wealth. The market predicts Σ w_k p_k,
    and pays what it took in to those who bet on what happened: w_k ← w_k p_k(o)/Σ_l w_l p_l(o) (Shapiro & Spivak 2022).

    That is Bayes' rule, for a prior w over hypotheses p_k. A lens from the traders' `Distributions`, nested pairs
    ((p_1, p_2), p_3) ..., to one. All hear the outcome.

    wealth (traders,): shares, of sum 1.

    >>> market = rv.learners.nested.prediction_market(torch.tensor([0.5, 0.5]), outcomes=2)
    >>> bets = torch.tensor([0.9, 0.1]), torch.tensor([0.3, 0.7])
    >>> wealth, p, _ = rv.learners.nested.step(market, market.start, bets, 0)
    >>> [round(v, 3) for v in p.tolist()], [round(v, 3) for v in wealth.tolist()]  # 0.9/1.2 of the wealth
    ([0.6, 0.4], [0.75, 0.25])
    """
    if wealth.ndim != 1 or len(wealth) == 0 or bool((wealth < 0).any()) or abs(float(wealth.sum()) - 1) > 1e-6:
        raise ValueError(f"wealth is {wealth}; expected shares (traders,) >= 0 of sum 1")
    count, one = len(wealth), Distributions(outcomes)
    traders: list[Interface] = [one] * count
    source: Interface = reduce(lambda left, right: left * right, traders)

    def flat(nested: Any) -> Tensor:
        rows = []
        for _ in range(count - 1):
            nested, last = nested
            rows.append(last)
        return torch.stack([nested, *rows[::-1]])

    def forward(shares: Tensor, bets: Any) -> Tensor:
        return shares @ flat(bets)

    def backward(shares: Tensor, bets: Any, outcome: int) -> tuple[Tensor, Any]:
        paid = shares * flat(bets)[:, outcome]
        heard: Any = outcome
        for _ in range(count - 1):
            heard = (heard, outcome)
        return paid / paid.sum(), heard

    return DynamicLens(source, one, wealth, forward, backward)


__all__ = ["prediction_market"]
