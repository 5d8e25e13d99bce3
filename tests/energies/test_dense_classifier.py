"""The classifier against the paper's sums, its gradients, its optimiser."""

import pytest
import torch
from sklearn.datasets import load_digits

from ranvier.energies import DenseClassifier, MaxNormMomentum


def data(batch=6, n=20, classes=4, seed=0):
    g = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(batch, n, generator=g) - 1, torch.randint(classes, (batch,), generator=g)


@pytest.mark.parametrize("n", [2, 3, 20])
def test_forward_against_the_papers_sums(n):
    """Two energies an entry: class α at +1 and at −1, all others at −1."""
    torch.manual_seed(1)
    model = DenseClassifier(20, 4, 7, n=n, temperature=5.0, dtype=torch.float64)
    x, _ = data()
    x = x.double()
    with torch.no_grad():
        out = model(x)
        for b in range(6):
            for alpha in range(4):
                sums = []
                for sign in (1.0, -1.0):
                    c = -torch.ones(4, dtype=torch.float64)
                    c[alpha] = sign
                    overlap = model.memory @ torch.cat([x[b], c])
                    sums.append(overlap.clamp_min(0).pow(n).sum())
                expected = torch.tanh((sums[0] - sums[1]) / 5.0**n)
                torch.testing.assert_close(out[b, alpha], expected, rtol=1e-10, atol=1e-12)
    assert 0 < out.abs().max() < 1


@pytest.mark.parametrize("n", [2, 3, 19, 30])
def test_compiled_loops_against_plain_torch(n):
    torch.manual_seed(2)
    model = DenseClassifier(20, 4, 33, n=n, temperature=6.0)
    x, labels = data()
    result = []
    for fused in (True, False):
        model.fused = fused
        model.zero_grad()
        x.requires_grad_().grad = None
        loss = model.loss(x, labels, 3)
        loss.backward()
        result.append((loss.detach(), model.memory.grad.clone(), x.grad.clone()))
    for a, b in zip(*result, strict=True):
        assert b.abs().max() > 0
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5 * float(b.abs().max()))


def test_loss_is_the_papers_but_for_a_constant():
    model, (x, labels) = DenseClassifier(20, 4, 9, n=3, temperature=9.0), data()
    with torch.no_grad():
        c, target = model(x), -torch.ones(6, 4)
        target[torch.arange(6), labels] = 1.0
        torch.testing.assert_close(model.loss(x, labels, 2) * 2**4, (c - target).abs().pow(4).sum() / 6)


def test_the_optimiser_moves_every_memory_by_the_same_largest_step():
    p = torch.nn.Parameter(torch.tensor([[0.1, 0.2], [0.0, 0.999], [0.3, 0.3]]))
    optimiser = MaxNormMomentum([p], lr=0.1, momentum=0.5)
    p.grad = torch.tensor([[1.0, -2.0], [0.0, -5.0], [0.0, 0.0]])
    optimiser.step()
    torch.testing.assert_close(p.detach(), torch.tensor([[0.05, 0.3], [0.0, 1.0], [0.3, 0.3]]))
    p.grad = torch.tensor([[4.5, 0.0], [0.0, 0.0], [0.0, 0.0]])
    optimiser.step()  # velocities (−5, 1), (0, 2.5)
    torch.testing.assert_close(p.detach(), torch.tensor([[-0.05, 0.32], [0.0, 1.0], [0.3, 0.3]]))


def test_it_learns_digits():
    """scikit-learn's 8 × 8 digits: chance is 90 % of errors."""
    images, labels = load_digits(return_X_y=True)
    x, y = torch.from_numpy(images / 8 - 1).float(), torch.from_numpy(labels)
    torch.manual_seed(0)
    model = DenseClassifier(64, 10, 60, n=5, temperature=20.0)
    optimiser = MaxNormMomentum(model.parameters(), lr=0.05)
    for _ in range(25):
        for rows in torch.randperm(1400).split(100):
            optimiser.zero_grad()
            model.loss(x[rows], y[rows], 4).backward()
            optimiser.step()
        optimiser.param_groups[0]["lr"] *= 0.93
    assert float((model(x[1400:]).argmax(1) != y[1400:]).float().mean()) < 0.1


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (lambda: DenseClassifier(0), "in_features is 0"),
        (lambda: DenseClassifier(n=1), "n is 1"),
        (lambda: DenseClassifier(5, 2, 3)(torch.zeros(2, 4)), r"expected \(B, 5\)"),
        (lambda: MaxNormMomentum([torch.zeros(1)], lr=0.0), "lr is 0"),
    ],
)
def test_errors(wrong, text):
    with pytest.raises(ValueError, match=text):
        wrong()
