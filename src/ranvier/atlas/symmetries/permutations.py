"""Permutations: of objects in a picture, of neurons of two trained networks, of items that a network treats alike."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ranvier.atlas import COLOURS, AtMost, Claim, Experiment, Size, canvas, digits, register
from ranvier.symmetries import (
    PermutationEquivariant,
    barrier,
    commuting_maps,
    interpolate,
    match_neurons,
    object_symmetries,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

F64 = torch.float64
ITEMS = 12


def measure(
    seed: int,
    size: Size,
    alike: int = 3,
    matched: bool = True,
    hidden: int = 6,
    samples: int = 6,
    generators: int = 2,
    equivariant: bool = True,
    cyclic: bool = True,
    dense: bool = True,
    moved: int = ITEMS,
) -> dict[str, Any]:
    """Permutations of objects, barriers between networks, errors of dense and of equivariant networks.

    alike: of four objects. matched: whether neurons are. hidden: neurons of a dense network that is to permute twelve
    items, samples: that another one learns from. generators: of the group that maps commute with, a swap and a cycle.
    equivariant: whether the network of items is. cyclic, dense: whether the networks that learn to shift items in a
    circle treat all places alike, and not. moved: items that the map to be represented passes on.
    """
    before, after, curves = connectivity(seed, size, matched)
    return {
        "objects": float(len(object_symmetries(lambda s: picture(s, alike), scenes(seed)))),
        "barrier_ratio": after / before,
        "barrier": before,
        "neurons": neurons(seed, hidden),
        "neurons_expected": 1 - 6 / ITEMS,
        "samples": few(seed, samples),
        "neurons_needed": float(needed([least(k, moved) for k in range(ITEMS + 1)])),
        "samples_needed": float(needed([few_shifted(seed, k, not dense) for k in range(ITEMS + 1)])),
        "cyclic_samples": float(needed([few_shifted(seed, k, cyclic) for k in range(ITEMS + 1)])),
        "weights": float(len(commuting_maps(group(generators)))),
        "sets": sets(seed, size, equivariant),
        "dense": sets(seed, size, False),
        "curves": curves,
    }


def scenes(seed: int) -> Tensor:
    return torch.rand(20, 4, 2, dtype=F64, generator=torch.Generator().manual_seed(seed))


def picture(places: Tensor, alike: int) -> Tensor:
    """Pictures (B, 256) of four objects at places (B, 4, 2): `alike` cars, narrow blobs, and others, each wider."""
    width = torch.tensor([0.1] * alike + [0.15 + 0.05 * k for k in range(4 - alike)], dtype=F64)
    grid = torch.linspace(0, 1, 16, dtype=F64)
    square = [(grid - places[:, :, None, axis]) ** 2 for axis in (1, 0)]
    return torch.exp(-(square[0][..., None] + square[1][:, :, None]) / width[:, None, None] ** 2).sum(1).flatten(1)


@lru_cache(maxsize=4)
def connectivity(seed: int, size: Size, matched: bool) -> tuple[float, float, Any]:
    """Barriers of the test loss between two networks of digits, as trained and with neurons matched; and the losses."""
    data = digits(seed)
    x, y, z, labels = data.x.float(), data.y, data.x_test.float(), data.y_test
    first, second = (trained(x, y, seed + 100 * k, {"small": 12, "full": 40}[size]) for k in range(2))
    other = match_neurons(first, second)[0] if matched else second

    def loss(net: nn.Module) -> float:
        with torch.no_grad():
            return float(F.cross_entropy(net(z), labels))

    shares = torch.linspace(0, 1, 11).tolist()
    curves = [[loss(interpolate(first, net, t)) for t in shares] for net in (second, other)]
    return barrier(loss, first, second), barrier(loss, first, other), (shares, *curves)


def trained(x: Tensor, y: Tensor, seed: int, epochs: int) -> nn.Sequential:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10))
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(64):
            loss = F.cross_entropy(net(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return net.requires_grad_(False)


def neurons(seed: int, hidden: int) -> float:
    """Error, of the variance, of a linear network with `hidden` neurons trained to permute twelve items."""
    torch.manual_seed(seed)
    P = torch.eye(ITEMS, dtype=F64)[torch.randperm(ITEMS)]
    first, second = (0.3 * torch.randn(*shape, dtype=F64) for shape in ((hidden, ITEMS), (ITEMS, hidden)))
    optimizer = torch.optim.Adam([first.requires_grad_(), second.requires_grad_()], 2e-2)
    error = P.new_zeros(())
    for _ in range(600):  # the mean over white inputs in closed form
        error = (second @ first - P).square().sum() / ITEMS
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
    return float(error.detach())


def few(seed: int, samples: int) -> float:
    """Error, of the variance, of the least weights that permute `samples` examples of twelve items right."""
    generator = torch.Generator().manual_seed(seed)
    P = torch.eye(ITEMS, dtype=F64)[torch.randperm(ITEMS, generator=generator)]
    x = torch.randn(samples, ITEMS, dtype=F64, generator=generator)
    W = (torch.linalg.pinv(x) @ x @ P.T).T
    return float((W - P).square().sum() / ITEMS)


def needed(errors: list[float]) -> int:
    """The first count with which nothing is left."""
    return next((k for k, error in enumerate(errors) if error < 1e-9), len(errors))


def least(hidden: int, moved: int) -> float:
    """Error, of the variance, of the best linear network of so many neurons that is to permute `moved` of twelve items:
    the singular values that it cannot hold (Eckart & Young 1936)."""
    sizes = torch.linalg.svdvals(torch.eye(ITEMS, dtype=F64).roll(1, 0)[:moved])
    return float(sizes[hidden:].square().sum() / ITEMS)


def few_shifted(seed: int, samples: int, cyclic: bool) -> float:
    """Error, of the variance, of the least weights that shift `samples` examples in a circle right: of a network that
    commutes with shifts (a circular convolution), or of a dense one."""
    generator = torch.Generator().manual_seed(seed)
    cycle = torch.eye(ITEMS, dtype=F64).roll(1, 0)
    x = torch.randn(samples, ITEMS, dtype=F64, generator=generator)
    basis = commuting_maps(cycle[None]) if cyclic else torch.eye(ITEMS**2, dtype=F64).unflatten(1, (ITEMS, ITEMS))
    rows = torch.einsum("kij,bj->bik", basis, x).flatten(0, 1)
    weights = torch.linalg.pinv(rows) @ (x @ cycle.T).flatten()
    return float((torch.einsum("k,kij->ij", weights, basis) - cycle).square().sum() / ITEMS)


def group(generators: int) -> Tensor:
    swap, cycle = torch.eye(ITEMS, dtype=F64), torch.eye(ITEMS, dtype=F64).roll(1, 0)
    swap[:2] = swap[:2].flip(0)
    return torch.stack([swap, cycle])[:generators]


@lru_cache(maxsize=4)
def sets(seed: int, size: Size, equivariant: bool) -> float:
    """Test error, of the variance, after 100 examples of y_i = x_i · mean_j x_j² of twelve items."""
    torch.manual_seed(seed)
    x = torch.randn(2100, ITEMS)
    y = x * x.square().mean(1, keepdim=True)
    if equivariant:
        net: nn.Module = nn.Sequential(
            nn.Unflatten(1, (ITEMS, 1)), PermutationEquivariant(1, 24), nn.Tanh(), PermutationEquivariant(24, 24),
            nn.Tanh(), PermutationEquivariant(24, 1), nn.Flatten(),
        )  # fmt: skip
    else:
        net = nn.Sequential(nn.Linear(ITEMS, 200), nn.Tanh(), nn.Linear(200, 200), nn.Tanh(), nn.Linear(200, ITEMS))
    optimizer = torch.optim.Adam(net.parameters(), 1e-2 if equivariant else 2e-3)
    for _ in range({"small": 400, "full": 2000}[size]):
        loss = (net(x[:100]) - y[:100]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        return float((net(x[100:]) - y[100:]).square().mean() / y[100:].var())


def losses(material: dict[str, Any]) -> Figure:
    """Losses on the line between two networks."""
    figure, axis = canvas(4.2, 2.8)
    shares, plain, matched = material["curves"]
    axis.plot(shares, plain, "o-", ms=3, color=COLOURS[1], label="as trained")
    axis.plot(shares, matched, "o-", ms=3, color=COLOURS[0], label="neurons matched")
    axis.set(xlabel="share of the second network", ylabel="test loss", ylim=(0, None))
    axis.legend()
    return figure


register(
    Experiment(
        name="permutations",
        title="Permutations of objects, neurons and items",
        paper="S. K. Ainsworth, J. Hayase and S. Srinivasa (2023). Git Re-Basin: merging models modulo permutation "
        "symmetries. ICLR. arXiv:2209.04836; M. Zaheer et al. (2017). Deep sets. NeurIPS 30.",
        summary="Cars in a picture can be exchanged without loss of sense. A dense linear network needs a hidden "
        "neuron and an example an item to permute them; one that treats items alike has two weights a layer. Neurons "
        "can be exchanged, too: two trained networks, neurons matched, are joined by a line of low loss.",
        claims=(
            Claim(
                "Three cars and a tree: 6 of 24 permutations leave the picture.",
                "3!", "objects", 6.0, 0.0, "counted", {"alike": 2},
            ),
            Claim(
                "A dense linear network of half as many hidden neurons as items errs by half.",
                "all singular values of a permutation are 1", "neurons", 0.5, 0.01, "600 steps of training",
                {"hidden": 9},
            ),
            Claim(
                "Half as many examples as items leave a dense linear network half of a permutation unknown.",
                "a projection on 6 of 12 dimensions", "samples", 0.5, 1e-9, "rounding", {"samples": 12},
            ),
            Claim(
                "A dense linear network needs as many examples as items to learn a permutation,",
                "a linear map is known where its inputs span", "samples_needed", 12.0, 0.0, "counted", {"dense": False},
            ),
            Claim(
                "and as many hidden neurons, by the singular values that fewer cannot hold;",
                "Eckart & Young (1936)", "neurons_needed", 12.0, 0.0, "counted", {"moved": 6},
            ),
            Claim(
                "a circular convolution, which treats all places alike, learns a shift of them from one.",
                "a circular convolution is known from one generic input", "cyclic_samples", 1.0, 0.0, "counted",
                {"cyclic": False},
            ),
            Claim(
                "Two linear maps commute with all permutations of twelve items, of 144.",
                "Zaheer et al. (2017), lemma 3", "weights", 2.0, 0.0, "counted", {"generators": 1},
            ),
            Claim(
                "From 100 examples a network that treats items alike learns what they do to each other,",
                "Zaheer et al. (2017)", "sets", AtMost(0.1), 0.0, "ten seeds lie below .016",
                {"equivariant": False}, ours=True,
            ),
            Claim(
                "Between two trained networks neurons matched remove most of the barrier.",
                "Ainsworth et al. (2023), figure 2", "barrier_ratio", AtMost(0.3), 0.0, "one hidden layer of 256",
                {"matched": False},
            ),
        ),
        measure=measure,
        pictures={"Test loss on the line between two networks of digits.": losses},
    )
)  # fmt: skip
