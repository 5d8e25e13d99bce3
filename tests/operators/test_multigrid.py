"""V-cycles: rates of the textbook's, boundaries against extended periodic fields, and a plain re-derivation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ranvier.operators import MgNO, VCycle
from ranvier.operators._ghosts import pad

BOUNDARIES = ["dirichlet", "neumann", "periodic"]


def rate(cycle: VCycle, size: tuple[int, ...], cycles: int = 6) -> float:
    """The residual's factor in the last cycle."""
    f = torch.randn(1, 1, *size, dtype=torch.float64)
    f = f if cycle.boundary == "dirichlet" else f - f.mean()
    u, norms = torch.zeros_like(f), []
    for _ in range(cycles):
        residual = f - cycle.apply_operator(u)
        norms.append(float(residual.norm()))
        u = u + cycle(residual)
    return norms[-1] / norms[-2]


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("size", [(32,), (128,), (32, 32), (64, 64), (128, 128), (32, 64), (16, 16, 16)])
def test_fixed_kernels_contract_alike_on_all_grids(boundary, size):
    torch.manual_seed(0)
    assert rate(VCycle.poisson(dims=len(size), levels=min(size).bit_length() - 1, boundary=boundary), size) < 0.15


def test_without_coarse_grids_they_do_not():
    torch.manual_seed(0)
    assert rate(VCycle.poisson(levels=1), (64, 64)) > 0.7


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann"])
@pytest.mark.parametrize("dims", [1, 2])
def test_boundaries_are_those_of_extended_fields(boundary, dims):
    """With kernels that a reflection leaves alone, a cycle with a boundary is the periodic one on the odd (dirichlet)
    or even (neumann) extension to twice the box."""
    torch.manual_seed(0)
    cycles = [
        VCycle(2, 3, dims=dims, levels=3, before=2, boundary=b, dtype=torch.float64) for b in (boundary, "periodic")
    ]
    with torch.no_grad():
        for p in cycles[0].parameters():
            axes = range(2, 2 + dims)
            for axis in axes:
                p.copy_((p + p.flip(axis)) / 2)
    cycles[1].load_state_dict(cycles[0].state_dict())
    f = torch.randn(1, 2, *(16,) * dims, dtype=torch.float64)
    extended = f
    for axis in range(2, 2 + dims):
        mirror = extended.flip(axis)
        extended = torch.cat([extended, -mirror if boundary == "dirichlet" else mirror], axis)
    inner = (..., *(slice(16),) * dims)
    torch.testing.assert_close(cycles[0](f), cycles[1](extended)[inner])
    assert not torch.allclose(cycles[0](f), cycles[1](f))


def test_padding_of_narrow_fields():
    u = torch.tensor([1.0, 2.0])
    assert pad(u, "dirichlet", 3, 0, 1).tolist() == [2.0, -2.0, -1.0, 1.0, 2.0]
    assert pad(u, "neumann", 3, 1, 1).tolist() == [2.0, 2.0, 1.0, 1.0, 2.0, 2.0]
    assert pad(u, "periodic", 3, 3, 1).tolist() == [2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0]


def matrices(cycle: VCycle, n: int) -> np.ndarray:
    """The cycle of two grids in one dimension as one matrix, by dense products: u = S₁f, the coarse correction, S₂."""

    def dense(module: torch.nn.Module, size: int, beyond: tuple[int, int]) -> np.ndarray:
        with torch.no_grad():
            return module(pad(torch.eye(size, dtype=torch.float64)[:, None], cycle.boundary, *beyond, 1))[
                :, 0
            ].T.numpy()

    A, S1, S2 = (dense(m, n, (1, 1)) for m in (cycle.operators[0], cycle.smoothers_before[0][0],
                                               cycle.smoothers_after[0][0]))  # fmt: skip
    S3 = dense(cycle.smoothers_before[1][0], n // 2, (1, 1))
    R = dense(cycle.restrictions[0], n, (1, 1))
    P = dense(cycle.prolongations[0], n // 2, (1, 1))
    identity = np.eye(n)
    u = S1 + P @ S3 @ R @ (identity - A @ S1)
    return u + S2 @ (identity - A @ u)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_cycle_is_the_product_of_its_matrices(boundary):
    torch.manual_seed(0)
    cycle = VCycle(1, 1, dims=1, levels=2, boundary=boundary, dtype=torch.float64)
    f = torch.randn(1, 1, 8, dtype=torch.float64)
    np.testing.assert_allclose(cycle(f)[0, 0].detach().numpy(), matrices(cycle, 8) @ f[0, 0].numpy(), atol=1e-12)


def test_a_cycle_is_linear_and_nothing_lifts():
    torch.manual_seed(0)
    cycle = VCycle(2, 3, restriction="source", dtype=torch.float64)
    f, g = torch.randn(2, 1, 2, 12, 20, dtype=torch.float64).unbind()
    torch.testing.assert_close(cycle(2 * f - 3 * g), 2 * cycle(f) - 3 * cycle(g))
    model = MgNO(2, 1, hidden=6, layers=3)
    assert [c.in_channels for c in model.cycles] == [2, 6, 6]
    assert model.last.bias is None
    assert {n.split(".")[0] for n, _ in model.named_parameters()} == {"cycles", "mixing", "last"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({"dims": 4}, "dims is 4"), ({"boundary": "walls"}, "boundary is 'walls'"), ({"levels": 0}, "levels are"),
     ({"before": 0}, "before is 0"), ({"after": (1, 1)}, "after is"), ({"restriction": "x"}, "restriction is 'x'")],
)  # fmt: skip
def test_wrong_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        VCycle(1, 1, **arguments)
