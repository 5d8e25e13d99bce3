"""Active inference in discrete state spaces: beliefs that minimise free energy, policies that minimise the expected."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ranvier.energies._descent import Descent
from ranvier.energies._energy import Clamp, Energy, check_whole_rows
from ranvier.energies._layout import Layout
from ranvier.energies.steps import Fixed

_LEAST = 1e-16  # a probability of 0, as its logarithm sees it


@dataclass(frozen=True)
class GenerativeModel:
    """What an agent believes about its world: F factors of hidden states, M modalities of outcomes.

    A : likelihoods, one a modality, P(o | s) (O_m, S_1, ..., S_F).
    B : transitions, one a factor, P(s' | s, u) (S_f, S_f, U_f): new state, old state, action.
    C : preferences, one a modality (O_m,): log-probabilities of outcomes, up to a constant, in nats.
    D : priors of the first state, one a factor (S_f,).

    Raises ValueError for shapes that do not fit and columns that are no probabilities.

    >>> model = rv.energies.predictive.active_inference.GenerativeModel(
    ...     A=(torch.eye(2),), B=(torch.eye(2)[:, :, None],), C=(torch.zeros(2),), D=(torch.ones(2) / 2,)
    ... )
    >>> model.states, model.actions, model.log_likelihood([1]).exp().round(decimals=6).tolist()
    ((2,), (1,), [0.0, 1.0])
    """

    A: tuple[Tensor, ...]
    B: tuple[Tensor, ...]
    C: tuple[Tensor, ...]
    D: tuple[Tensor, ...]

    def __post_init__(self) -> None:
        for name in "ABCD":
            parts = tuple(torch.as_tensor(part).double() for part in getattr(self, name))
            object.__setattr__(self, name, parts)
            if name != "C":
                for k, part in enumerate(parts):
                    if not bool((part >= 0).all()) or not torch.allclose(part.sum(0), torch.ones(()).double()):
                        raise ValueError(
                            f"column of {name}[{k}] is no probability; expected numbers >= 0 that sum to 1"
                        )
        states = self.states
        if len(self.A) != len(self.C) or len(self.B) != len(self.D) or not self.A or not self.B:
            raise ValueError(
                f"there is {len(self.A)} A, {len(self.C)} C, {len(self.B)} B, {len(self.D)} D; expected an A and a C a "
                "modality, a B and a D a factor"
            )
        for k, (a, c) in enumerate(zip(self.A, self.C, strict=True)):
            if tuple(a.shape[1:]) != states or c.shape != a.shape[:1]:
                raise ValueError(
                    f"A[{k}] has shape {tuple(a.shape)}, C[{k}] {tuple(c.shape)}; expected (O, "
                    f"{', '.join(map(str, states))}) and (O,)"
                )
            if not bool(torch.isfinite(c).all()):
                raise ValueError(f"C[{k}] is {c.tolist()}; expected finite preferences")
        for k, (b, d) in enumerate(zip(self.B, self.D, strict=True)):
            if b.ndim != 3 or d.ndim != 1 or not b.shape[0] == b.shape[1] == len(d):
                raise ValueError(
                    f"B[{k}] has shape {tuple(b.shape)}, D[{k}] {tuple(d.shape)}; "
                    "expected (S, S, U) and (S,)"
                )

    @property
    def states(self) -> tuple[int, ...]:
        """(S_1, ..., S_F)."""
        return tuple(len(d) for d in self.D)

    @property
    def actions(self) -> tuple[int, ...]:
        """(U_1, ..., U_F); a factor with one action is not controlled."""
        return tuple(b.shape[2] for b in self.B)

    def log_likelihood(self, observation: Sequence[int]) -> Tensor:
        """Σ_m ln P(o_m | s) (S_1, ..., S_F) of one outcome a modality."""
        if len(observation) != len(self.A):
            raise ValueError(f"there are {len(observation)} outcomes; expected {len(self.A)}, one a modality")
        for k, (a, o) in enumerate(zip(self.A, observation, strict=True)):
            if not 0 <= o < len(a):
                raise ValueError(f"there is outcome {o} of modality {k}; expected 0 to {len(a) - 1}")
        return torch.stack([_log(a[o]) for a, o in zip(self.A, observation, strict=True)]).sum(0)


class BeliefEnergy(Energy):
    """The variational free energy of beliefs that are independent between factors,

        F(q) = Σ_f q_f · (ln q_f − ln p_f) − Σ_s Π_f q_f(s_f) ln P(o | s)  >=  −ln P(o).

    States x (B, S_1 + ... + S_F) are log-beliefs up to a constant a factor, activations q_f = softmax(x_f): F is x · q
    less softmax's Lagrangian, and its descent dx/dt = ln p_f + <ln P(o | s)> − x_f (Friston et al. 2017, eq. 5) ends at
    Bayes' posterior where there is one factor, and at the mean field's where there are several.

    log_likelihood : ln P(o | s) (B, S_1, ..., S_F).
    prior : p_f, (S_f,) or (B, S_f) each.

    >>> likelihood = torch.tensor([[0.9, 0.2]])  # P(o | s) of two states, equally likely before
    >>> energy = rv.energies.predictive.active_inference.BeliefEnergy(likelihood.log(), [torch.tensor([0.5, 0.5])])
    >>> x = rv.energies.Descent(energy, rv.energies.Fixed(1.0)).settle(energy.init_state(1)).x
    >>> round(energy.beliefs(x)[0][0, 0].item(), 3), round(energy.energy(x).item(), 3)  # 0.9/1.1, and -ln 0.55
    (0.818, 0.598)
    """

    def __init__(self, log_likelihood: Tensor, prior: Sequence[Tensor]) -> None:
        super().__init__()
        sizes = tuple(p.shape[-1] for p in prior)
        if tuple(log_likelihood.shape[1:]) != sizes:
            raise ValueError(
                f"log-likelihood has shape {tuple(log_likelihood.shape)} with priors of {sizes} states; expected (B, "
                f"{', '.join(map(str, sizes))})"
            )
        self.layout = Layout({f"factor{f}": (size,) for f, size in enumerate(sizes)})
        self.units = self.layout.units
        self.log_likelihood, self.log_prior = log_likelihood, [_log(p) for p in prior]

    def beliefs(self, x: Tensor) -> list[Tensor]:
        """q_f (B, S_f)."""
        return [torch.softmax(part, 1) for part in self.layout.split(x).values()]

    def activations(self, x: Tensor) -> Tensor:
        """All q_f, joined (B, N)."""
        return torch.cat(self.beliefs(x), 1)

    def check_clamp(self, clamp: Clamp) -> None:
        """A factor's beliefs are held as a whole."""
        for name, mask in self.layout.split(clamp.mask.reshape(-1, self.units)).items():
            check_whole_rows(mask, f"beliefs of {name}")

    def init_state(self, batch: int) -> Tensor:
        """The priors' logarithms, joined, (batch, N)."""
        return torch.cat([p.expand(batch, -1) for p in self.log_prior], 1)

    def _value(self, x: Tensor) -> Tensor:
        q = self.beliefs(x)
        logs = [torch.log_softmax(part, 1) for part in self.layout.split(x).values()]
        own = [(a * (b - p)).sum(1) for a, b, p in zip(q, logs, self.log_prior, strict=True)]
        return torch.stack(own).sum(0) - _joined(self.log_likelihood, q)

    def _force(self, x: Tensor) -> Tensor:
        q = self.beliefs(x)
        pulls = [p + _joined(self.log_likelihood, q, f) for f, p in enumerate(self.log_prior)]
        return torch.cat(pulls, 1) - x


def infer_states(model: GenerativeModel, observation: Sequence[int], prior: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Beliefs q_f (S_f,) after an outcome a modality, given beliefs before it: where `BeliefEnergy` comes to rest.

    By whole steps where there is one factor, which is Bayes' rule; by half steps where there are more.

    >>> from ranvier.energies.predictive import active_inference
    >>> A = torch.tensor([[0.9, 0.2], [0.1, 0.8]])
    >>> still = torch.eye(2)[:, :, None]
    >>> model = active_inference.GenerativeModel((A,), (still,), (torch.zeros(2),), (torch.ones(2) / 2,))
    >>> (q,) = active_inference.infer_states(model, [0], model.D)
    >>> [round(v, 3) for v in q.tolist()]  # Bayes: 0.9/1.1 and 0.2/1.1
    [0.818, 0.182]
    """
    energy = BeliefEnergy(model.log_likelihood(observation)[None], prior)
    with torch.no_grad():
        settled = Descent(energy, Fixed(1.0 if len(prior) == 1 else 0.5), tol=1e-9).settle(energy.init_state(1))
        return tuple(q[0] for q in energy.beliefs(settled.x))


@dataclass(frozen=True)
class ExpectedFreeEnergy:
    """Each (P, T): of P policies at T times, in nats; `total` = risk + ambiguity = −epistemic − pragmatic.

    risk: KL[Q(o) ‖ P̃(o)], outcomes expected against outcomes preferred.
    ambiguity: <H[P(o | s)]> over Q(s), the uncertainty of outcomes that knowing the state would leave.
    epistemic: H[Q(o)] − ambiguity, the mutual information of states and outcomes: what is learned about the state.
    pragmatic: <ln P̃(o)> over Q(o).
    Returned by `expected_free_energy`.
    """

    risk: Tensor
    ambiguity: Tensor
    epistemic: Tensor
    pragmatic: Tensor

    @property
    def total(self) -> Tensor:
        """G (P, T)."""
        return self.risk + self.ambiguity


def expected_free_energy(model: GenerativeModel, beliefs: Sequence[Tensor], policies: Tensor) -> ExpectedFreeEnergy:
    """Of policies (P, T, F), actions of every factor at every time, from beliefs q_f (S_f,) now.

    Friston et al. (2017, eq. 7). Outcomes of all modalities are taken jointly (they share their hidden causes, so
    their information does not add). Beliefs are carried forward without the outcomes that they would meet.

    >>> from ranvier.energies.predictive import active_inference
    >>> move = torch.stack([torch.eye(2), torch.eye(2).flip(0)], 2)  # stay, or change places
    >>> C, D = torch.tensor([0.0, 3.0]), torch.eye(2)[0]  # prefers the second place, begins at the first
    >>> model = active_inference.GenerativeModel((torch.eye(2),), (move,), (C,), (D,))
    >>> policies = active_inference.all_policies(model, 1)
    >>> g = active_inference.expected_free_energy(model, model.D, policies).total[:, 0]
    >>> [round(v, 3) for v in g.tolist()]  # -ln of the preferred outcomes' probabilities: ln(1 + e³) and 3 less
    [3.049, 0.049]
    """
    count, horizon = check_policies(model, policies).shape[:2]
    size = math.prod(model.states)
    joint = torch.ones(1, size, dtype=torch.float64)  # P(o_1 ... o_M | s)
    preferred = torch.zeros(1, dtype=torch.float64)
    for a, c in zip(model.A, model.C, strict=True):
        joint = (joint[:, None] * a.reshape(len(a), size)).reshape(-1, size)
        preferred = (preferred[:, None] + torch.log_softmax(c, 0)).flatten()
    left = -(joint * _log(joint)).sum(0)  # H[P(o | s)] (S,)
    q = [b.double().expand(count, -1) for b in beliefs]
    columns: dict[str, list[Tensor]] = {"risk": [], "ambiguity": [], "epistemic": [], "pragmatic": []}
    for t in range(horizon):
        q = [torch.einsum("pij,pj->pi", b.permute(2, 0, 1)[policies[:, t, f]], q[f]) for f, b in enumerate(model.B)]
        states = q[0]
        for other in q[1:]:
            states = (states[:, :, None] * other[:, None]).flatten(1)
        outcomes = states @ joint.T  # Q(o) (P, O)
        entropy, pragmatic = -(outcomes * _log(outcomes)).sum(1), outcomes @ preferred
        ambiguity = states @ left
        for name, value in (
            ("risk", -entropy - pragmatic), ("ambiguity", ambiguity), ("epistemic", entropy - ambiguity),
            ("pragmatic", pragmatic),
        ):  # fmt: skip
            columns[name].append(value)
    return ExpectedFreeEnergy(**{name: torch.stack(values, 1) for name, values in columns.items()})


def all_policies(model: GenerativeModel, horizon: int) -> Tensor:
    """Every sequence of `horizon` actions (P, T, F).

    >>> from ranvier.energies.predictive import active_inference
    >>> still = torch.eye(2)[:, :, None].expand(2, 2, 3)  # three actions that change nothing
    >>> model = active_inference.GenerativeModel((torch.eye(2),), (still,), (torch.zeros(2),), (torch.ones(2) / 2,))
    >>> active_inference.all_policies(model, horizon=2).shape  # 3² sequences of two actions of one factor
    torch.Size([9, 2, 1])
    """
    if horizon < 1:
        raise ValueError(f"horizon is {horizon}; expected 1 at least")
    once = list(itertools.product(*(range(u) for u in model.actions)))
    return torch.tensor(list(itertools.product(once, repeat=horizon)))


def check_policies(model: GenerativeModel, policies: Tensor) -> Tensor:
    """The policies, if they are whole numbers (P, T, F) and actions that there are; else ValueError.

    >>> from ranvier.energies.predictive import active_inference
    >>> model = active_inference.GenerativeModel(
    ...     (torch.eye(2),), (torch.eye(2)[:, :, None],), (torch.zeros(2),), (torch.ones(2) / 2,)
    ... )
    >>> active_inference.check_policies(model, torch.zeros(1, 1, 1, dtype=torch.int64)).tolist()
    [[[0]]]
    """
    actions = torch.tensor(model.actions)
    if policies.ndim != 3 or policies.shape[2] != len(actions) or policies.is_floating_point():
        raise ValueError(f"policies have shape {tuple(policies.shape)}; expected whole numbers (P, T, {len(actions)})")
    if bool(((policies < 0) | (policies >= actions)).any()):
        raise ValueError(f"an action is not there; expected fewer than {model.actions} by factor")
    return policies


@dataclass(frozen=True)
class PolicyPosterior:
    """policies (P, T, F), their probabilities (P,), and what these come from.
    Returned by `plan`.
    """

    policies: Tensor
    probabilities: Tensor
    expected: ExpectedFreeEnergy

    @property
    def first(self) -> dict[tuple[int, ...], float]:
        """The probability of every first action, summed over the policies that begin with it."""
        total: dict[tuple[int, ...], float] = {}
        for policy, p in zip(self.policies[:, 0].tolist(), self.probabilities.tolist(), strict=True):
            total[tuple(policy)] = total.get(tuple(policy), 0.0) + p
        return total

    def likeliest(self) -> tuple[int, ...]:
        """The likeliest first action, the earliest of equals."""
        return max(self.first, key=lambda action: round(self.first[action], 12))

    def sample(self, generator: torch.Generator | None = None) -> tuple[int, ...]:
        """A first action, drawn by its probability."""
        actions = list(self.first)
        weights = torch.tensor([self.first[a] for a in actions], dtype=torch.float64)
        return actions[int(torch.multinomial(weights, 1, generator=generator))]


def plan(
    model: GenerativeModel, beliefs: Sequence[Tensor], policies: Tensor, *, gamma: float = 16.0, epistemic: float = 1.0
) -> PolicyPosterior:
    """Probabilities of policies (P, T, F): softmax of −gamma G.

    gamma : precision of the choice.
    epistemic : weight of the epistemic value; 1 is the expected free energy, 0 leaves reward alone.

    >>> from ranvier.energies.predictive import active_inference
    >>> move = torch.stack([torch.eye(2), torch.eye(2).flip(0)], 2)  # stay, or change places
    >>> C, D = torch.tensor([0.0, 3.0]), torch.eye(2)[0]  # prefers the second place, begins at the first
    >>> model = active_inference.GenerativeModel((torch.eye(2),), (move,), (C,), (D,))
    >>> active_inference.plan(model, model.D, active_inference.all_policies(model, 1)).likeliest()  # change
    (1,)
    """
    expected = expected_free_energy(model, beliefs, policies)
    value = (expected.pragmatic + epistemic * expected.epistemic).sum(1)
    return PolicyPosterior(policies, torch.softmax(gamma * value, 0), expected)


def predict_states(model: GenerativeModel, beliefs: Sequence[Tensor], action: Sequence[int]) -> tuple[Tensor, ...]:
    """Beliefs q_f (S_f,) after an action of every factor.

    >>> from ranvier.energies.predictive import active_inference
    >>> move = torch.stack([torch.eye(2), torch.eye(2).flip(0)], 2)  # stay, or change places
    >>> model = active_inference.GenerativeModel((torch.eye(2),), (move,), (torch.zeros(2),), (torch.ones(2) / 2,))
    >>> active_inference.predict_states(model, [torch.tensor([0.9, 0.1])], [1])[0].round(decimals=6).tolist()
    [0.1, 0.9]
    """
    return tuple(b[:, :, u] @ q.double() for b, q, u in zip(model.B, beliefs, action, strict=True))


def _log(p: Tensor) -> Tensor:
    return torch.log(p.clamp_min(_LEAST))


def _joined(log_likelihood: Tensor, q: list[Tensor], left_out: int | None = None) -> Tensor:
    """<ln P(o | s)> over all beliefs (B,), or over all but one (B, S_f)."""
    total = log_likelihood
    for f in reversed(range(len(q))):
        if f != left_out:
            axis = f + 1
            shape = [len(total) if k == 0 else -1 if k == axis else 1 for k in range(total.ndim)]
            total = (total * q[f].reshape(shape)).sum(axis)
    return total


__all__ = [
    "BeliefEnergy", "ExpectedFreeEnergy", "GenerativeModel", "PolicyPosterior", "all_policies", "check_policies",
    "expected_free_energy", "infer_states", "plan", "predict_states",
]  # fmt: skip
