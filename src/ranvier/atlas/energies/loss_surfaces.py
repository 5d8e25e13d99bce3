"""Loss surfaces as spin glasses: critical points of the spherical p-spin model, and losses of trained networks."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.optimize import root
from scipy.stats import spearmanr

from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, canvas, digits, register
from ranvier.energies import Clamp, Descent, Energy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

E_INF, E_0 = 1.632993, 1.656998  # p = 3; see the entry p_spin
WIDTHS = {"small": (4, 16, 64), "full": (4, 8, 16, 32, 64, 128)}


class SphericalGlass(Energy):
    """H(s)/N of three spins an interaction, H = N⁻¹ Σ J_ijk s_i s_j s_k on |s|² = N, J symmetrised (N, N, N)."""

    J: torch.Tensor

    def __init__(self, J: torch.Tensor) -> None:
        super().__init__()
        self.units = len(J)
        self.register_buffer("J", J)

    def project(self, x: torch.Tensor) -> torch.Tensor:
        return x * (math.sqrt(self.units) / x.norm(dim=1, keepdim=True))

    def check_clamp(self, clamp: Clamp) -> None:
        raise ValueError("there are clamped spins; expected all to be free: the sphere moves each by all others")

    def field(self, x: torch.Tensor) -> torch.Tensor:
        """Σ_k J_ijk s_k, (B, N, N)."""
        return torch.einsum("ijk,bk->bij", self.J, x)

    def _both(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        pull = (self.field(x) @ x[:, :, None])[:, :, 0]
        return (pull * x).sum(1) / self.units, -3 * pull / self.units

    def _value(self, x: torch.Tensor) -> torch.Tensor:
        return self._both(x)[0]


def measure(
    seed: int, size: Size, curved: bool = True, widths: tuple[int, ...] = (), descend: bool = True,
    parts: str = "glass networks",
) -> dict[str, Any]:  # fmt: skip
    """Critical points with their energies and indices, and test losses of networks that differ in their start.

    curved: the Hessian is that on the sphere, which the radial force shifts. widths: of the networks' hidden layers,
    if not the size's own. descend: starts of the search have gone down before; else they are random. parts: what is
    measured.
    """
    names = ("index_error", "order", "low_index", "lowest", "spread_ratio", "mean_drop")
    metrics: dict[str, Any] = dict.fromkeys(names) | {"lowest_error": 0.0}
    if "glass" in parts:
        metrics |= glass(seed, size, curved, descend)
    if "networks" in parts:
        count, epochs = {"small": (24, 60), "full": (100, 300)}[size]
        metrics |= losses(seed, widths or WIDTHS[size], count, epochs)
    return metrics


def glass(seed: int, size: Size, curved: bool, descend: bool) -> dict[str, Any]:
    """Critical points of several systems, their indices against theory, and the lowest energy."""
    N, systems, starts = {"small": (24, 3, 40), "full": (60, 6, 150)}[size]
    points = np.concatenate(
        [critical_points(N, starts, curved, descend, 100 * seed + k) for k in range(systems)]
    )
    energy, index = points.T
    prediction = np.array([semicircle(u) for u in energy])
    low = energy < np.quantile(energy, 0.2)
    return {
        "points": points,
        "N": N,
        "index_error": float(np.abs(index - prediction).mean()),
        "order": float(spearmanr(energy, index).statistic),
        "low_index": float(index[low].mean()),
        "lowest": float(energy.min()),
        "lowest_error": 2 * N ** (-2 / 3),
        "below_ground": float((energy < -E_0 - 4 / N).mean()),
        "count": len(points),
    }


def critical_points(N: int, starts: int, curved: bool, descend: bool, seed: int) -> np.ndarray:
    """(points, 2): energy a spin, and the part of the Hessian's eigenvalues that are negative.

    From random points that have gone down for a random number of steps, a Newton-like search (Levenberg–Marquardt) for
    zeros of ∇H − λ s, |s|² = N.
    """
    rng = np.random.default_rng(seed)
    J = rng.normal(size=(N, N, N))
    J = sum((J.transpose(order) for order in itertools.permutations(range(3))), np.zeros((N, N, N))) / (6 * N)
    model = SphericalGlass(torch.from_numpy(J))
    flat = J.reshape(N * N, N)
    metrics: list[tuple[float, float]] = []
    begin = model.project(torch.from_numpy(rng.normal(size=(starts, N))))
    ends = []
    for b in range(starts):
        steps = int(rng.integers(0, 40)) if descend else 0
        state = {"x": begin[b : b + 1], "step": torch.full((1, 1), 0.5, dtype=torch.float64)}
        ends.append(Descent(model).relax(state, steps)["x"][0].numpy() if steps else begin[b].numpy())

    def equations(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        s, level = z[:N], z[N]
        field = (flat @ s).reshape(N, N)
        jacobian = np.empty((N + 1, N + 1))
        jacobian[:N, :N] = 6 * field - level * np.eye(N)
        jacobian[:N, N], jacobian[N, :N], jacobian[N, N] = -s, 2 * s, 0.0
        return np.append(3 * field @ s - level * s, s @ s - N), jacobian

    for s in ends:
        pull = 3 * (flat @ s).reshape(N, N) @ s
        end = root(equations, np.append(s, s @ pull / N), jac=True, method="lm", options={"maxiter": 400})
        if np.abs(end.fun).max() > 1e-8:
            continue
        s, level = end.x[:N], end.x[N]
        field = (flat @ s).reshape(N, N)
        away = np.eye(N) - np.outer(s, s) / N
        hessian = away @ (6 * field - curved * level * np.eye(N)) @ away
        values = np.linalg.eigvalsh(hessian)
        values = np.delete(values, np.abs(values).argmin())  # along s itself there is none
        metrics.append((s @ field @ s / N, float((values < 0).mean())))
    return np.array(metrics).reshape(-1, 2)


def semicircle(u: float) -> float:
    """Part of negative eigenvalues at energy u: a semicircle of radius 2√(p(p−1)) about −p u (p = 3)."""
    x = min(1.0, max(-1.0, 3 * u / (2 * math.sqrt(6))))
    return 0.5 + (x * math.sqrt(1 - x * x) + math.asin(x)) / math.pi


def losses(seed: int, widths: tuple[int, ...], count: int, epochs: int) -> dict[str, Any]:
    """Test losses of networks with one hidden layer of rectifiers, trained from `count` starts on digits, by width."""
    data = digits(seed)
    x, y, x_test, y_test = data.x[:900].float(), data.y[:900], data.x_test.float(), data.y_test
    torch.manual_seed(seed)
    spread, mean, ends = [], [], []
    for width in widths:
        W = torch.randn(count, 64, width) * (2 / 64) ** 0.5
        V = torch.randn(count, width, 10) * width**-0.5
        parameters = [t.requires_grad_() for t in (W, torch.zeros(count, 1, width), V, torch.zeros(count, 1, 10))]
        optimiser = torch.optim.Adam(parameters, 0.01)

        def loss(x: torch.Tensor, y: torch.Tensor, parameters: list[torch.Tensor] = parameters) -> torch.Tensor:
            out = (x @ parameters[0] + parameters[1]).relu() @ parameters[2] + parameters[3]  # (networks, B, 10)
            each = torch.nn.functional.cross_entropy(out.flatten(0, 1), y.repeat(len(out)), reduction="none")
            return each.unflatten(0, (len(out), -1)).mean(1)

        for _ in range(epochs // 3):
            for rows in torch.randperm(900).split(300):
                optimiser.zero_grad()
                loss(x[rows], y[rows]).sum().backward()
                optimiser.step()
        with torch.no_grad():
            end = loss(x_test, y_test).numpy()
        ends.append(end)
        spread.append(float(end.std(ddof=1)))
        mean.append(float(end.mean()))
    error = (spread[0] ** 2 + spread[-1] ** 2) ** 0.5 / count**0.5
    return {"spread_ratio": spread[-1] / spread[0], "mean_drop": (mean[0] - mean[-1]) / error,
            "mean_ratio": mean[-1] / mean[0], "ends": ends, "widths": widths}  # fmt: skip


def bands(material: dict[str, Any]) -> Figure:
    """Index against energy."""
    energy, index = material["points"].T
    figure, axis = canvas(5.4, 3.2)
    axis.plot(energy, index, "o", ms=3, alpha=0.6, color=COLOURS[0], label=f"critical points, N = {material['N']}")
    at = np.linspace(-1.75, max(0.2, float(energy.max())), 200)
    axis.plot(at, [semicircle(u) for u in at], color=COLOURS[1], lw=1.2, label="semicircle, N → ∞")
    axis.axvspan(-E_0, -E_INF, color=COLOURS[5], alpha=0.4, lw=0)
    axis.set(xlabel="energy a spin", ylabel="part of directions that lead down")
    axis.legend(loc="upper left")
    return figure


def concentration(material: dict[str, Any]) -> Figure:
    """Test losses by width."""
    figure, axis = canvas(5.4, 2.8)
    for k, end in enumerate(material["ends"]):
        shift = np.random.default_rng(0).uniform(-0.18, 0.18, len(end))
        axis.plot(k + shift, end, "o", ms=2.5, alpha=0.6, color=COLOURS[0])
    axis.set(xlabel="hidden units", ylabel="test loss", xticks=range(len(material["widths"])), yscale="log",
             xticklabels=material["widths"])  # fmt: skip
    return figure


PAPER = "Choromanska et al. (2015)"
register(
    Experiment(
        name="loss_surfaces",
        title="Loss surfaces of networks as spin glasses",
        paper="A. Choromanska, M. Henaff, M. Mathieu, G. Ben Arous and Y. LeCun (2015). The loss surfaces of "
        "multilayer networks. AISTATS, arXiv:1412.0233.",
        summary="In the spherical p-spin glass critical points are ordered: the lower, the fewer directions lead down, "
        "and minima fill a narrow band above the ground state. The paper reads this as the loss of a network whose "
        "weights lie on a sphere, (1/Λ) Σ w² = C. That needs: inputs on all paths independent and Gaussian; every path "
        "open with the same probability, whatever the input and the other paths; few distinct weights, each equally "
        "frequent on paths; and a loss linear in the output. None holds for a real network; the second part, that "
        "losses of larger networks concentrate, is a separate observation, made here too.",
        claims=(
            Claim(
                "The part of directions that lead down is that of a shifted semicircle, at every energy.",
                "Auffinger, Ben Arous and Cerny (2013)", "index_error", AtMost(0.06), 0.0,
                "one and a half eigenvalues of the 23 at the smallest size", {"curved": False, "parts": "glass"},
            ),
            Claim(
                "The lower a critical point, the lower its index.",
                PAPER + ", section 4", "order", AtLeast(0.8), 0.0,
                "rank correlation; many of the lowest share the index 0",
                {"curved": False, "parts": "glass"},
            ),
            Claim(
                "Where hardly any direction leads down, energies lie near the band from −1.633 to −1.657.",
                PAPER, "lowest", -E_INF, "lowest_error",
                "2 N^(−2/3): the spectrum's edge is so wide in a finite system", {"descend": False, "parts": "glass"},
            ),
            Claim(
                "Test losses of networks from different starts concentrate as the networks grow.",
                PAPER + ", figure 3", "spread_ratio", AtMost(0.5), 0.0,
                "by chance in one of a thousand, were the spreads the same (F test of 24 runs)",
                {"widths": (4, 4), "parts": "networks"},
            ),
            Claim(
                "And they are lower.",
                PAPER + ", figure 3", "mean_drop", AtLeast(4.0), 0.0, "in standard errors of the difference",
                {"widths": (4, 4), "parts": "networks"},
            ),
        ),
        measure=measure,
        pictures={
            "Critical points of the p-spin glass (p = 3): energies, and the part of directions that lead down. Grey: "
            "the band of minima in an infinite system.": bands,
            "Test losses on 8 × 8 digits of networks that differ in their first weights only.": concentration,
        },
    )
)  # fmt: skip
