"""Branch and bound over intervals of neurons (GenBaB; Shi et al. 2025)."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from ranvier.verify.branch_and_bound.attack import confirmed, margin
from ranvier.verify.branch_and_bound.branching import Splitter
from ranvier.verify.branch_and_bound.search import Goals, Outcome, SearchProgress, SearchSettings
from ranvier.verify.networks import NetworkUnderTest
from ranvier.verify.relaxation.backward import LinearBound, crown, node_bounds
from ranvier.verify.relaxation.intervals import NodeBounds, propagate
from ranvier.verify.relaxation.optimise import Choice, Optimised, alpha_crown, optimise

SMALL = 300  # neurons whose bounds are computed again
ROOT_ROUNDS = (5, 20)  # steps of ascent on inner bounds where the root's do not decide


@dataclass
class Subproblem:
    """A part of the box for one goal: bounds (1, size) of the split nodes, which of them are constraints, and what the
    bound was found with; splits: (node, element, point), best first."""

    goal: int
    bounds: dict[int, tuple[Tensor, Tensor]]
    constrained: dict[int, tuple[Tensor, Tensor]]
    choice: Choice | None
    margin: float
    splits: list[tuple[int, int, float]]


def split_neurons(
    subject: NetworkUnderTest, goals: Goals, settings: SearchSettings, progress: SearchProgress
) -> Outcome:
    """Split neurons' intervals until every domain of every goal is decided."""
    return _Search(subject, goals, settings, progress).run()


class _Search:
    def __init__(
        self, subject: NetworkUnderTest, goals: Goals, settings: SearchSettings, progress: SearchProgress
    ) -> None:
        self.subject, self.goals, self.settings, self.progress = subject, goals, settings, progress
        self.graph, self.case = subject.graph, goals.case
        self.splitter = Splitter(self.graph, optimised_points=settings.points == "optimised")
        # in small networks inner bounds are computed again in each domain; in others a split reaches them by intervals
        self.small = sum(self.graph.nodes[k].size for k in self.splitter.nodes) <= SMALL
        self.random = torch.Generator().manual_seed(settings.seed)
        self.counterexample: Tensor | None = None
        self.heap: list[tuple[float, int, Subproblem]] = []
        self.number = itertools.count()

    def run(self) -> Outcome:
        l, u = self.case.lower[None], self.case.upper[None]
        with torch.no_grad():
            root = crown(self.graph, l, u)
            scored = self.settings.branching == "bbps"
            self.shortcuts = self.splitter.shortcuts(root) if scored else {}
        self.at_root(root, list(range(len(self.goals.C))))
        for steps in ROOT_ROUNDS if not self.small else ():
            if not self.heap or self.counterexample is not None or self.progress.over():
                break
            known = {k: (root.lower[k], root.upper[k]) for k in self.splitter.nodes}
            root = alpha_crown(self.graph, l, u, steps=steps, known=known, over=self.progress.over)
            left = sorted(domain.goal for _, _, domain in self.heap)
            self.heap.clear()
            self.at_root(root, left)
        while self.heap and self.counterexample is None:
            worst = self.heap[0][0]
            self.progress.say(len(self.heap), worst)
            if self.progress.over() or self.settings.branching == "none":
                return Outcome(False, worst, note=f"{len(self.heap)} domains are left")
            batch = self.settings.batch
            depth = 1
            while depth < self.settings.several and len(self.heap) << (depth + 1) <= batch:
                depth += 1
            parents = [heapq.heappop(self.heap)[2] for _ in range(min(len(self.heap), max(1, batch >> depth)))]
            children = [child for parent in parents for child in self.children(parent, depth)]
            if any(not parent.splits for parent in parents):
                stuck = min(p.margin for p in parents if not p.splits)
                return Outcome(False, min(stuck, worst), note="a domain has no neuron left to split")
            for k in range(0, len(children), batch):
                if self.progress.over():
                    return Outcome(False, worst, note=f"{len(self.heap) + len(children) - k} domains are left")
                self.bound(children[k : k + batch], self.settings.steps)
        if self.counterexample is not None:
            return Outcome(False, -torch.inf, self.counterexample)
        return Outcome(True, torch.inf)

    def at_root(self, root: NodeBounds, goals: list[int]) -> None:
        """Bound goals over the whole box, from bounds of its nodes."""
        known = {k: (root.lower[k], root.upper[k]) for k in self.splitter.nodes}
        self.bound([Subproblem(g, dict(known), {}, None, -torch.inf, []) for g in goals], self.settings.root_steps)

    def children(self, parent: Subproblem, depth: int) -> list[Subproblem]:
        """Both sides of each of the parent's first splits."""
        domains = [parent]
        for k, element, point in parent.splits[:depth]:
            halves = []
            for domain in domains:
                for upper in (True, False):
                    l, u = (t.clone() for t in domain.bounds[k])
                    none = torch.zeros_like(l, dtype=torch.bool)
                    of_l, of_u = (t.clone() for t in domain.constrained.get(k, (none, none)))
                    (u if upper else l)[0, element] = point
                    (of_u if upper else of_l)[0, element] = True
                    halves.append(
                        Subproblem(
                            parent.goal, {**domain.bounds, k: (l, u)}, {**domain.constrained, k: (of_l, of_u)},
                            parent.choice, parent.margin, [],
                        )
                    )  # fmt: skip
            domains = halves
        return domains if parent.splits else []

    def bound(self, domains: list[Subproblem], steps: int) -> None:
        """Bound domains; those that stay open go to the heap with their best splits."""
        if not domains:
            return
        goal = torch.tensor([d.goal for d in domains])
        C, d = self.goals.C[goal], self.goals.d[goal]
        known = {
            k: tuple(torch.cat([each.bounds[k][side] for each in domains]) for side in (0, 1))
            for k in self.splitter.nodes
        }
        l, u = (t.expand(len(domains), -1) for t in (self.case.lower, self.case.upper))
        with torch.no_grad():
            refine = self._refresh if self.small else None
            bounds = propagate(self.graph, l, u, known=known, refine=refine)  # type: ignore[arg-type]
            empty = bounds.empty()
        constrained = self._masks(domains)
        readers = self.splitter.readers()

        def enough(least: Tensor) -> bool:
            return bool(((least > d).any(1) | empty).all()) or self.progress.over()

        best = optimise(
            self.graph, self.graph.output, C, bounds, steps=steps, choice=self._joined(domains),
            constrained=constrained, enough=enough, record=readers,
        )  # fmt: skip
        self.progress.domains += len(domains)
        decided = (best.least > d).any(1) | empty
        gap = (best.least - d).nan_to_num(-torch.inf, -torch.inf, -torch.inf)
        margins, row = gap.max(1)
        self._try_corners(best.bound, row, goal, ~decided)
        if bool(decided.all()) or self.counterexample is not None:
            return
        splits = self._splits(bounds, best, row, [None if x else True for x in decided.tolist()])
        for b, domain in enumerate(domains):
            if not bool(decided[b]):
                own = {k: (bounds.lower[k][b : b + 1], bounds.upper[k][b : b + 1]) for k in self.splitter.nodes}
                choice = best.choice.map(lambda t, b=b: t[b : b + 1].clone())  # type: ignore[misc]
                value = max(float(margins[b]), domain.margin)  # the parent's bound holds here, too
                heapq.heappush(
                    self.heap,
                    (
                        value,
                        next(self.number),
                        Subproblem(domain.goal, own, domain.constrained, choice, value, splits[b]),
                    ),
                )

    def _refresh(self, k: int, bounds: NodeBounds) -> tuple[Tensor, Tensor] | None:
        return node_bounds(self.graph, k, bounds)

    def _masks(self, domains: list[Subproblem]) -> dict[int, tuple[Tensor, Tensor]]:
        result = {}
        for k in sorted({k for d in domains for k in d.constrained}):
            none = torch.zeros(1, self.graph.nodes[k].size, dtype=torch.bool)
            parts = [d.constrained.get(k, (none, none)) for d in domains]
            result[k] = tuple(torch.cat([p[side] for p in parts]) for side in (0, 1))
        return result  # type: ignore[return-value]

    def _joined(self, domains: list[Subproblem]) -> Choice | None:
        choices = [d.choice for d in domains]
        if choices[0] is None:
            return None
        shares = {
            k: [torch.cat([c.shares[k][i] for c in choices]) for i in range(len(parts))]  # type: ignore[union-attr]
            for k, parts in choices[0].shares.items()
        }
        multipliers = {}
        rows = self.goals.C.shape[1]
        for k in sorted({k for d in domains for k in d.constrained}):
            zero = torch.zeros(1, rows, self.graph.nodes[k].size, dtype=torch.float64)
            multipliers[k] = [
                torch.cat([c.multipliers[k][i] if k in c.multipliers else zero for c in choices])  # type: ignore[union-attr]
                for i in (0, 1)
            ]
        return Choice(shares, multipliers)

    @torch.no_grad()
    def _splits(
        self, bounds: NodeBounds, best: Optimised, row: Tensor, open_: list[bool | None]
    ) -> list[list[tuple[int, int, float]]]:
        """The best few neurons of each domain, with points."""
        if self.settings.branching == "none":
            return [[] for _ in open_]
        points = self.splitter.points(bounds)
        batch = torch.arange(len(row))
        if self.settings.branching == "bbps":
            at = {k: A[batch, row] for k, A in best.bound.at.items()}
            slopes = {}
            for k, A in at.items():
                sides = best.slopes.lower[k][0], best.slopes.upper[k][0]
                low, high = (s.expand(len(row), best.least.shape[1], -1)[batch, row] for s in sides)
                slopes[k] = torch.where(A >= 0, low, high)
            coefficients = best.bound.coefficients[batch, row]
            scores = self.splitter.scores(bounds, at, slopes, coefficients, self.shortcuts, points)
        else:
            scores = {}
            for k in self.splitter.nodes:
                noise = torch.rand(bounds.lower[k].shape, generator=self.random, dtype=torch.float64)
                scores[k] = torch.where(self.splitter.open(bounds, k), noise, -torch.inf)
        nodes = list(scores)
        flat = torch.cat([scores[k] for k in nodes], 1)
        where = torch.cat([points[k] for k in nodes], 1)
        owner = torch.cat([torch.full((scores[k].shape[1],), k) for k in nodes])
        element = torch.cat([torch.arange(scores[k].shape[1]) for k in nodes])
        value, index = flat.topk(min(self.settings.several, flat.shape[1]), 1)
        result = []
        for b in range(len(row)):
            chosen = [int(i) for v, i in zip(value[b], index[b], strict=True) if v > -torch.inf]
            result.append([(int(owner[i]), int(element[i]), float(where[b, i])) for i in chosen])
        return result

    @torch.no_grad()
    def _try_corners(self, bound: LinearBound, row: Tensor, goal: Tensor, keep: Tensor) -> None:
        """The inputs at which linear bounds are least."""
        A = bound.coefficients[torch.arange(len(row)), row][keep]
        if len(A) == 0:
            return
        x = torch.where(A > 0, self.case.lower, self.case.upper)
        y = self.graph.values(x)[self.graph.output]
        m = margin(y, self.goals.C[goal[keep]], self.goals.attackable()[goal[keep]])
        for k in torch.nonzero(m <= 0)[:4, 0].tolist():
            self.counterexample = confirmed(self.subject, self.case, self.goals.unsafe, x[k])
            if self.counterexample is not None:
                return


__all__ = ["Subproblem", "split_neurons"]
