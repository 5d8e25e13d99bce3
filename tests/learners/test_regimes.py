"""Rich and lazy learning: ranks at equal norm, kernels by plain loops, and the linear network's closed form."""

import math

import pytest
import torch
from torch import nn

from ranvier.data import celegans, larva
from ranvier.learners import regimes

F64 = torch.float64


def gaussian(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


@pytest.mark.parametrize("rank", [1, 3, 7])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_a_rank_at_equal_norm(rank, dtype):
    """The best approximation by eigenvectors of W Wᵀ, rescaled: a re-derivation without singular values."""
    weight = gaussian(7, 9).to(dtype)
    low = regimes.of_rank(weight, rank)
    assert low.dtype == dtype and low.norm() == pytest.approx(weight.norm().item(), rel=1e-6)
    vectors = torch.linalg.eigh(weight.double() @ weight.double().T)[1][:, -rank:]
    expected = vectors @ vectors.T @ weight.double()
    expected *= weight.double().norm() / expected.norm()
    tolerance = 1e-10 if dtype == F64 else 1e-5
    torch.testing.assert_close(low.double(), expected, rtol=tolerance, atol=tolerance)
    assert int(torch.linalg.matrix_rank(low, rtol=1e-5)) == rank


def test_a_stable_rank():
    assert regimes.stable_rank(torch.eye(5)) == pytest.approx(5.0)
    assert regimes.stable_rank(torch.outer(gaussian(4), gaussian(6, seed=1))) == pytest.approx(1.0)
    assert regimes.stable_rank(torch.diag(torch.tensor([2.0, 1.0, 1.0]))) == pytest.approx(1.5)


@pytest.mark.parametrize("edges", [larva, lambda: celegans().chemical], ids=["larva", "worm"])
def test_measured_wirings(edges):
    edges = edges()
    w = regimes.balanced_wiring(edges, 60, gain=1.5, seed=3)
    assert w.norm() == pytest.approx(1.5 * 60**0.5)
    signs = torch.sign(w)
    assert bool(((signs >= 0).all(0) | (signs <= 0).all(0)).all())  # Dale
    mixed = (w > 0).any(1) & (w < 0).any(1)
    assert mixed.sum() > 30 and w[mixed].sum(1).abs().max() < 1e-10
    assert not w.diagonal().any()
    counts = {(int(t), int(s)): abs(float(c)) for s, t, c in zip(edges.sources, edges.targets, edges.weights)}
    degree = [0.0] * edges.size
    for (t, s), c in counts.items():
        if t != s:
            degree[t], degree[s] = degree[t] + c, degree[s] + c
    chosen = sorted(range(edges.size), key=lambda k: -degree[k])[:60]
    plain = torch.tensor([[counts.get((t, s), 0.0) * (t != s) for s in chosen] for t in chosen])
    assert torch.equal(plain != 0, w != 0)
    positive = w.clamp(min=0)
    kinds = plain[positive > 0] / positive[positive > 0]
    assert kinds.max() == pytest.approx(kinds.min().item(), rel=1e-6)  # one factor for all synapses that excite


def test_tangent_kernels_by_plain_gradients():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    x = gaussian(5, 3)
    y = model(x)
    rows = []
    for value in y.flatten():
        slopes = torch.autograd.grad(value, list(model.parameters()), retain_graph=True)
        rows.append(torch.cat([s.flatten() for s in slopes]))
    expected = torch.stack([torch.stack([a @ b for b in rows]) for a in rows])
    for chunk in (3, 256):
        ours = regimes.tangent_kernel(y, list(model.parameters()), chunk=chunk)
        torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-14)
    one = regimes.tangent_kernel(y, [model[0].weight])
    assert not torch.allclose(one, expected)


def test_alignment_of_kernels():
    a, b = (regimes.representation_kernel(gaussian(6, 4, seed=k)) for k in (1, 2))
    assert regimes.alignment(a, 3 * a) == pytest.approx(1.0)
    assert regimes.alignment(torch.diag(torch.tensor([1.0, 0.0])), torch.diag(torch.tensor([0.0, 2.0]))) == 0.0
    by_hand = sum(float(a[i, j] * b[i, j]) for i in range(6) for j in range(6))
    squares = [sum(float(k[i, j]) ** 2 for i in range(6) for j in range(6)) for k in (a, b)]
    assert regimes.alignment(a, b) == pytest.approx(by_hand / math.sqrt(squares[0] * squares[1]))


@pytest.mark.parametrize(("rank", "overlap"), [(1, 0.1), (1, 1.0), (3, 0.4), (6, 1.0)])
def test_the_linear_network_by_its_differential_equation(rank, overlap):
    """Integrated by scipy to 1e-10: weights, readout, kernels."""
    from scipy.integrate import solve_ivp

    size, norm, target = 6, 1.7, 1.3
    weight = torch.zeros(4 + 2, size, dtype=F64)
    weight[torch.arange(rank), torch.arange(rank)] = norm / rank**0.5
    beta = torch.zeros(size, dtype=F64)
    beta[0] = target * overlap**0.5
    beta[-1] += target * (1 - overlap) ** 0.5
    n = weight.numel()

    def slope(_, z):
        w, a = z[:n].reshape(6, size), z[n:]
        error = beta.numpy() - w.T @ a
        return [*(a[:, None] * error).ravel(), *(w @ error)]

    start = [*weight.flatten().tolist(), *[0.0] * 6]
    end = torch.tensor(solve_ivp(slope, (0, 200), start, rtol=1e-10, atol=1e-12).y[:, -1], dtype=F64)
    w, a = end[:n].reshape(6, size), end[n:]
    assert (w.T @ a - beta).norm() < 1e-8
    before, after = weight.T @ weight, w.T @ w + a @ a * torch.eye(size, dtype=F64)
    expected = regimes.linear_regime(size, rank, norm, target, overlap)
    assert expected.change == pytest.approx(float((w - weight).norm()), abs=1e-7)
    assert expected.alignment == pytest.approx(regimes.alignment(after, before), abs=1e-7)
    assert expected.readout == pytest.approx(float(a.norm()), abs=1e-7)


@pytest.mark.parametrize(
    "refused",
    [
        lambda: regimes.of_rank(torch.eye(3), 0), lambda: regimes.of_rank(torch.eye(3), 4),
        lambda: regimes.of_rank(torch.eye(3), True), lambda: regimes.of_rank(torch.zeros(2, 2), 1),
        lambda: regimes.of_rank(torch.full((2, 2), math.nan), 1), lambda: regimes.of_rank(torch.ones(3), 1),
        lambda: regimes.of_rank([[1.0]], 1), lambda: regimes.stable_rank(torch.eye(2).long()),
        lambda: regimes.balanced_wiring(larva(), 1), lambda: regimes.balanced_wiring(larva(), 10**6),
        lambda: regimes.balanced_wiring(larva(), 10, inhibitory=1.0),
        lambda: regimes.balanced_wiring(larva(), 10, gain=math.nan),
        lambda: regimes.tangent_kernel(torch.ones(3), [torch.ones(2, requires_grad=True)]),
        lambda: regimes.tangent_kernel(torch.ones(2, requires_grad=True) * 2, [torch.ones(2, requires_grad=True)]),
        lambda: regimes.alignment(torch.eye(2), torch.eye(3)),
        lambda: regimes.alignment(torch.eye(2), torch.zeros(2, 2)),
        lambda: regimes.representation_kernel(torch.ones(3)),
        lambda: regimes.linear_regime(4, 5, 1.0, 1.0, 0.5), lambda: regimes.linear_regime(4, 1, 1.0, 1.0, 0.0),
        lambda: regimes.linear_regime(4, 4, 1.0, 1.0, 0.5),
    ],
)  # fmt: skip
def test_refusals(refused):
    with pytest.raises(ValueError, match="expected"):
        refused()
