"""MgNO: layers that are multigrid V-cycles learn Darcy's flow with fewer parameters than a Fourier neural operator."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ranvier.atlas import COLOURS, AtMost, Claim, Experiment, Size, canvas, register
from ranvier.atlas.operators._training import darcy, error, train
from ranvier.operators import FNO, MgNO, VCycle

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: cells an axis, examples, epochs
SIZES = {"small": (16, 64, 12), "full": (32, 400, 40)}


def measure(
    seed: int, size: Size, levels: int = 4, boundary: str = "dirichlet", fno_hidden: int = 16
) -> dict[str, Any]:
    """Rates of fixed cycles, what boundary conditions do, errors on Darcy's flow.

    levels: grids of a cycle; 1 is a convolutional network. boundary: of the cycle that is held against an odd
    extension. fno_hidden: channels of the Fourier neural operator.
    """
    n, count, _epochs = SIZES[size]
    test = darcy(50, n, seed + 1000)
    mgno, fno = learned("mgno", levels, size, seed), learned("fno", fno_hidden, size, seed)
    errors = {"FNO": error(fno, test), "MgNO": error(mgno, test)}
    training = darcy(count, n, seed)
    with torch.no_grad():
        answers = {"MgNO": mgno(test[0][:1]), "FNO": fno(test[0][:1])}
    return {
        "contraction": max(contraction(cells, levels, seed) for cells in (32, 64, 128)),
        "boundary_mismatch": mismatch(boundary, seed),
        "error": errors["MgNO"],
        "fno_error": errors["FNO"],
        "error_ratio": errors["MgNO"] / errors["FNO"],
        "parameters_ratio": parameters(mgno) / parameters(fno),
        "gap_ratio": None if size == "small" else
            (errors["MgNO"] - error(mgno, training)) / (errors["FNO"] - error(fno, training)),
        "fields": {"medium": test[0][:1], "pressure": test[1][:1], **answers},
    }  # fmt: skip


@lru_cache(maxsize=8)
def learned(kind: str, width: int, size: Size, seed: int) -> nn.Module:
    """A trained model: `width` is its levels (mgno) or channels (fno)."""
    n, count, epochs = SIZES[size]

    def make() -> nn.Module:
        if kind == "mgno":
            return MgNO(1, 1, hidden=16, layers=3, levels=width, before=1, after=0)
        return FNO(1, 1, (8, 8), hidden=width, layers=3)

    return train(make, darcy(count, n, seed), epochs, seed)


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def contraction(cells: int, levels: int, seed: int) -> float:
    """The factor of the residual in the sixth of textbook's cycles; levels 1: without coarser grids."""
    generator = torch.Generator().manual_seed(seed)
    f = torch.randn(1, 1, cells, cells, generator=generator, dtype=torch.float64)
    cycle = VCycle.poisson(levels=cells.bit_length() - 1 if levels > 1 else 1)
    u, norms = torch.zeros_like(f), []
    for _ in range(6):
        residual = f - cycle.apply_operator(u)
        norms.append(float(residual.norm()))
        u = u + cycle(residual)
    return norms[-1] / norms[-2]


def mismatch(boundary: str, seed: int) -> float:
    """Relative distance between a cycle of learned, even kernels that vanishes at the faces by padding and the periodic
    one on the odd extension."""
    torch.manual_seed(seed)
    cycle = VCycle(1, 1, levels=3, boundary=boundary, dtype=torch.float64)  # type: ignore[arg-type]
    periodic = VCycle(1, 1, levels=3, boundary="periodic", dtype=torch.float64)
    with torch.no_grad():
        for p in cycle.parameters():
            p.copy_((p + p.flip(2)) / 2)
            p.copy_((p + p.flip(3)) / 2)
        periodic.load_state_dict(cycle.state_dict())
        f = torch.randn(1, 1, 16, 16, dtype=torch.float64)
        odd = torch.cat([f, -f.flip(2)], 2)
        odd = torch.cat([odd, -odd.flip(3)], 3)
        u = cycle(f)
        return float((periodic(odd)[..., :16, :16] - u).norm() / u.norm())


def fields(material: dict[str, Any]) -> Figure:
    """A medium, its pressure, and both operators' errors."""
    shown = {name: value[0, 0] for name, value in material["fields"].items()}
    truth = shown["pressure"]
    figure, axes = canvas(8, 2.3, 1, 4)
    for axis, name in zip(axes[0], shown, strict=True):
        difference = name in ("FNO", "MgNO")
        picture = (shown[name] - truth if difference else shown[name]).numpy()
        limit = float(0.2 * truth.abs().max()) if difference else None
        axis.imshow(picture, cmap="RdBu_r" if difference else "viridis", vmin=-limit if limit else None, vmax=limit)
        axis.set(xticks=[], yticks=[])
        axis.set_title(f"{name}: error" if difference else name, color=COLOURS[4])
    return figure


PAPER = "He, Liu & Xu (2024), ICLR"

register(
    Experiment(
        name="mgno",
        title="Multigrid neural operator",
        paper="J. He, X. Liu and J. Xu (2024). MgNO: Efficient parameterization of linear operators via multigrid. "
        "ICLR 2024.",
        summary="A layer's linear operator is one multigrid V-cycle with learned kernels; padding is the boundary "
        "condition, and nothing lifts or projects. With fixed kernels it is the textbook's solver; with learned ones "
        "it beats a Fourier neural operator of more parameters on Darcy's flow. Without coarse grids it is a small "
        "convolutional network, and loses.",
        claims=(
            Claim(
                "With fixed kernels a cycle reduces the residual of Poisson's equation 5 times, on 32, 64 and 128 "
                "cells an axis.",
                PAPER, "contraction", AtMost(0.2), 0.0, "a bound, and the rate does not depend on the grid",
                {"levels": 1},
            ),
            Claim(
                "Padding is the boundary condition: a cycle is the periodic one on the odd extension.",
                PAPER, "boundary_mismatch", 0.0, 1e-12, "rounding", {"boundary": "neumann"},
            ),
            Claim(
                "On Darcy's flow the relative L2 error is below the Fourier neural operator's.",
                PAPER, "error_ratio", AtMost(1.0), 0.0, "a bound", {"levels": 1},
            ),
            Claim(
                "It has no more parameters.",
                PAPER, "parameters_ratio", AtMost(1.0), 0.0, "counted", {"fno_hidden": 4},
            ),
            Claim(
                "The gap between test and training error is smaller than the Fourier neural operator's.",
                PAPER, "gap_ratio", AtMost(1.0), 0.0, "a bound", {"levels": 1},
                only="full size",
            ),
        ),
        measure=measure,
        pictures={"A medium of two phases, its pressure, and the errors of two operators.": fields},
    )
)  # fmt: skip
