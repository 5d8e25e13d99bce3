"""Permutations of objects, of neurons, of items."""

import itertools

import pytest
import torch
from torch import nn

from ranvier.symmetries import (
    PermutationEquivariant,
    barrier,
    commuting_maps,
    interpolate,
    match_neurons,
    object_symmetries,
    permute_neurons,
)


def mlp(*sizes, seed=0, activation=nn.Tanh):
    torch.manual_seed(seed)
    parts = [m for a, b in itertools.pairwise(sizes) for m in (nn.Linear(a, b), activation())]
    return nn.Sequential(*parts[:-1]).double()


def orders(*widths, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randperm(w, generator=generator) for w in widths]


def test_permuted_neurons_compute_the_same():
    net = mlp(5, 11, 7, 3)
    x = torch.randn(20, 5, dtype=torch.float64)
    new = permute_neurons(net, orders(11, 7))
    assert torch.allclose(new(x), net(x), atol=1e-14)
    assert not torch.allclose(new[0].weight, net[0].weight)


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_a_planted_permutation_is_undone(noise):
    net = mlp(6, 20, 15, 10, 4, activation=nn.ReLU)
    planted = permute_neurons(net, orders(20, 15, 10))
    with torch.no_grad():
        for p in planted.parameters():
            p += noise * p.std() * torch.randn_like(p)
    matched, result = match_neurons(net, planted)
    for order, inverse in zip(orders(20, 15, 10), result, strict=True):
        assert torch.equal(order[inverse], torch.arange(len(order)))
    if not noise:
        for a, b in zip(net.parameters(), matched.parameters(), strict=True):
            assert torch.equal(a, b)


def test_matching_is_the_best_of_all_orders():
    """Of one hidden layer the assignment is exact: by brute force over all orders of its neurons."""
    a, b = mlp(3, 5, 2, seed=1), mlp(3, 5, 2, seed=2)

    def product(other):
        return sum((p * q).sum().item() for p, q in zip(a.parameters(), other.parameters(), strict=True))

    best = max(product(permute_neurons(b, [torch.tensor(o)])) for o in itertools.permutations(range(5)))
    assert abs(product(match_neurons(a, b)[0]) - best) < 1e-12


def test_barrier_by_hand():
    """Of |x|² − 1 between −1 and 1 in one weight: 0 at both ends, 1 above the line at the middle of (w² − 1)²."""
    a, b = nn.Linear(1, 1, bias=False).double(), nn.Linear(1, 1, bias=False).double()
    with torch.no_grad():
        a.weight.fill_(-1.0), b.weight.fill_(1.0)

    def loss(net):
        return float((net.weight.detach() ** 2 - 1).square().sum())

    assert barrier(loss, a, b) == 1.0 and barrier(loss, a, a) == 0.0
    assert interpolate(a, b, 0.25).weight.item() == -0.5


def test_barrier_vanishes_between_permuted_copies_only_after_matching():
    net = mlp(4, 16, 16, 2)
    planted = permute_neurons(net, orders(16, 16))
    x = torch.randn(200, 4, dtype=torch.float64)
    target = net(x).detach()

    def loss(model):
        with torch.no_grad():
            return float((model(x) - target).square().mean())

    assert barrier(loss, net, planted) > 1e-3
    assert barrier(loss, net, match_neurons(net, planted)[0]) < 1e-20


def blobs(scenes):
    """Pictures (B, 144) of blobs at (x, y) of a width: a scene is (B, n, 3)."""
    grid = torch.linspace(0, 1, 12, dtype=scenes.dtype)
    place = (grid - scenes[:, :, None, 0:1]) ** 2, (grid - scenes[:, :, None, 1:2]) ** 2
    shape = place[0].mT + place[1]  # (B, n, 12, 12)
    return torch.exp(-shape / scenes[:, :, 2, None, None] ** 2).sum(1).flatten(1)


def test_objects_of_one_kind_may_be_exchanged():
    """Three cars and a tree: 3! of 4! permutations of their places."""
    places = torch.rand(10, 4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    width = torch.tensor([0.1, 0.1, 0.1, 0.2], dtype=torch.float64).expand(10, 4)[..., None]

    def picture(places):
        return blobs(torch.cat([places, width], 2))

    result = object_symmetries(picture, places)
    assert len(result) == 6 and all(order[3] == 3 for order in result)
    assert len(object_symmetries(blobs, torch.cat([places, width], 2))) == 24  # each with its kind: all alike
    assert object_symmetries(lambda s: s.flatten(1), places) == [(0, 1, 2, 3)]


@pytest.mark.parametrize("n", [2, 3, 6])
def test_two_maps_commute_with_all_permutations(n):
    swap, cycle = torch.eye(n), torch.eye(n).roll(1, 0)
    swap[:2] = swap[:2].flip(0)
    basis = commuting_maps(torch.stack([swap, cycle]))
    assert len(basis) == 2
    span = basis.flatten(1)
    for matrix in (torch.eye(n).double(), torch.ones(n, n).double()):
        rest = matrix.flatten() - span.T @ (span @ matrix.flatten())
        assert float(rest.norm()) < 1e-12
    assert len(commuting_maps(cycle[None])) == n  # of shifts: the circular convolutions


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equivariant_layers(dtype):
    torch.manual_seed(0)
    layer = PermutationEquivariant(3, 4).to(dtype)
    x = torch.randn(5, 7, 3, dtype=dtype)
    order = torch.randperm(7)
    assert torch.allclose(layer(x[:, order]), layer(x)[:, order], atol=1e-6)
    by_hand = layer.each.weight @ x[0, 2] + layer.each.bias + layer.mean.weight @ x[0].mean(0)
    assert torch.allclose(layer(x)[0, 2], by_hand, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: permute_neurons(mlp(2, 3, 1), []), "0 orders; expected one a hidden layer: 1"),
        (lambda: permute_neurons(mlp(2, 3, 1), [torch.tensor([0, 0, 1])]), "expected a permutation of 0 to 2"),
        (lambda: match_neurons(mlp(2, 3, 1), mlp(2, 4, 1)), "expected the reference's shapes"),
        (lambda: match_neurons(mlp(2, 1), mlp(2, 1)), "1 Linear layers; expected two"),
        (lambda: match_neurons(nn.Linear(2, 1), nn.Linear(2, 1)), "is a Linear; expected torch.nn.Sequential"),
        (lambda: match_neurons(nn.Sequential(nn.Conv1d(1, 1, 1)), mlp(2, 3, 1)), "holds a Conv1d; expected Linear"),
        (lambda: match_neurons(nn.Sequential(nn.Linear(2, 4), nn.LayerNorm(4), nn.Linear(4, 1)), mlp(2, 4, 1)),
         "holds a LayerNorm"),
        (lambda: interpolate(mlp(2, 3, 1), mlp(2, 4, 1), 0.5), "differs or is missing"),
        (lambda: barrier(lambda m: 0.0, mlp(2, 3, 1), mlp(2, 3, 1), 1), "points is 1; expected"),
        (lambda: object_symmetries(blobs, torch.rand(2, 9, 3)), "expected .* at most 8 objects"),
        (lambda: PermutationEquivariant(2, 1)(torch.rand(3, 2)), r"shape \(3, 2\); expected \(B, n, 2\)"),
        (lambda: commuting_maps(torch.rand(3, 2)), "expected square matrices"),
    ],
)  # fmt: skip
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
