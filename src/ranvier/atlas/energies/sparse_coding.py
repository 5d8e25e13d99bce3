"""Sparse coding: competition finds the lasso's codes, by rates and by spikes; atoms of natural images are Gabors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.optimize import least_squares

from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, canvas, register
from ranvier.energies.sparse_coding import (
    DictionaryLearning,
    fista,
    lca,
    matched_cosines,
    normalised,
    objective,
    patches,
    spiking_lca,
    threshold,
    whitened,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.atlas import Size

#: side of a patch, atoms, batches, atoms that are fitted
IMAGES = {"small": (8, 64, 150, 12), "full": (12, 200, 500, 48)}


def measure(
    seed: int, size: Size, competition: bool = True, duration: float = 1000.0, sources: str = "sparse",
    pixels: str = "in place", parts: str = "codes dictionary images",
) -> dict[str, Any]:  # fmt: skip
    """competition: whether neurons inhibit each other. duration: ms of the spiking network, the first half of which is
    left out. sources: coefficients of the planted dictionary, "sparse" or "dense" (all of them, normal). pixels:
    "permuted" moves those of every patch about, each patch by itself. parts: what is measured."""
    names = ("lca", "spikes", "planted", "gabors", "bandwidth", "orientations")
    metrics: dict[str, Any] = dict.fromkeys(names)
    if "codes" in parts:
        metrics |= codes(seed, competition, duration)
    if "dictionary" in parts:
        metrics["planted"] = planted(seed, sources)
    if "images" in parts:
        metrics |= images(seed, size, pixels)
    return metrics


def codes(seed: int, competition: bool, duration: float) -> dict[str, Any]:
    """Objectives of LCA and spiking LCA above the lasso's minimum, relative to it; worst of six signals."""
    g = torch.Generator().manual_seed(seed)
    D = normalised(torch.randn(64, 32, generator=g, dtype=torch.float64))
    x = 2 * (torch.randn(6, 64, generator=g, dtype=D.dtype) * (torch.rand(6, 64, generator=g) < 0.1)) @ D
    lam = 0.2
    least = objective(x, D, fista(x, D, lam, tol=1e-9), lam)
    by_rate = lca(x, D, lam) if competition else threshold(x @ D.T, lam)
    by_spike = spiking_lca(x, D, lam, duration=duration, warm_up=duration / 2)
    above = [float((objective(x, D, code, lam) / least - 1).max()) for code in (by_rate, by_spike.code)]
    recording = by_spike.recording
    first = recording.neurons < 128
    raster = (recording.times[first].numpy(), recording.neurons[first].numpy())
    return {"lca": above[0], "spikes": above[1], "codes": (by_rate, by_spike.code), "raster": raster}


def planted(seed: int, sources: str) -> float:
    """Mean |cosine| between the atoms that made signals and those learned from them, matched one to one."""
    rng = np.random.default_rng(seed)
    true = rng.normal(size=(32, 16))
    true /= np.linalg.norm(true, axis=1)[:, None]
    coefficients = rng.laplace(size=(3000, 32)) * (rng.random((3000, 32)) < 0.08)
    if sources == "dense":
        coefficients = coefficients.std() * rng.normal(size=coefficients.shape)
    model = DictionaryLearning(32, lam=0.15, max_iter=300, random_state=seed)
    return float(matched_cosines(model.fit(coefficients @ true).components_, true).mean())


def images(seed: int, size: Size, pixels: str) -> dict[str, Any]:
    """Atoms learned from whitened photographs, and what Gabor functions make of them."""
    from sklearn.datasets import load_sample_images

    side, atoms, batches, count = IMAGES[size]
    X = patches([whitened(image.mean(2)) for image in load_sample_images().images], side, 30_000, seed)
    length = np.linalg.norm(X, axis=1)
    X = X[length > 0.3 * length.mean()]  # sky and blur have nothing to code
    if pixels == "permuted":
        X = np.random.default_rng(seed).permuted(X, axis=1)
    X = (X / X.std()).astype(np.float32)
    model = DictionaryLearning(atoms, lam=1.2, max_iter=batches, random_state=seed).fit(X)
    learned = model.components_.reshape(-1, side, side).astype(float)
    chosen = learned[np.random.default_rng(seed).permutation(atoms)[:count]]
    fits = [gabor(atom) for atom in chosen]
    good = [fit for fit in fits if fit["r2"] >= 0.8]
    angles = np.array([fit["angle"] for fit in good])
    return {
        "gabors": len(good) / len(fits),
        "bandwidth": float(np.median([fit["octaves"] for fit in fits])) if size == "full" else None,
        "orientations": len(np.unique(np.floor(angles / (math.pi / 4)))) if size == "full" else None,
        "atoms": learned, "fits": [(atom, fit) for atom, fit in zip(chosen, fits, strict=True)],
    }  # fmt: skip


def gabor(atom: np.ndarray) -> dict[str, Any]:
    """The best Gabor function: exp(−(u/σ_u)²/2 − (v/σ_v)²/2) cos(2πfu + φ), u along `angle`; its R²; the bandwidth in
    octaves at half height, log2 (f + b)/(f − b), b = √(2 ln 2)/(2πσ_u)."""
    side = len(atom)
    rows, columns = np.mgrid[:side, :side].astype(float)
    spectrum = np.abs(np.fft.fft2(atom, (64, 64)))
    k = np.unravel_index(spectrum[:, :33].argmax(), (64, 33))
    fy, fx = np.fft.fftfreq(64)[[k[0], k[1]]]
    weight = atom**2 / (atom**2).sum()

    def waves(p: np.ndarray) -> np.ndarray:
        y0, x0, fy, fx, log_u, log_v = p
        f = math.hypot(fy, fx) + 1e-9
        u = ((rows - y0) * fy + (columns - x0) * fx) / f
        v = ((columns - x0) * fy - (rows - y0) * fx) / f
        envelope = np.exp(-0.5 * ((u / math.exp(log_u)) ** 2 + (v / math.exp(log_v)) ** 2))
        phase = 2 * math.pi * f * u
        return np.stack([envelope * np.cos(phase), envelope * np.sin(phase)], -1).reshape(-1, 2)

    def residual(p: np.ndarray) -> np.ndarray:
        basis = waves(p)
        return basis @ np.linalg.lstsq(basis, atom.ravel(), rcond=None)[0] - atom.ravel()

    low = [-0.5, -0.5, -0.5, -0.5, math.log(0.8), math.log(0.8)]
    high = [side - 0.5, side - 0.5, 0.5, 0.5, math.log(side / 2), math.log(side / 2)]
    best = None
    for width in (side / 8, side / 4):
        start = [(weight * rows).sum(), (weight * columns).sum(), fy, fx, math.log(width), math.log(width)]
        fit = least_squares(residual, np.clip(start, low, high), bounds=(low, high), max_nfev=30)
        if best is None or fit.cost < best.cost:
            best = fit
    assert best is not None
    f, half = math.hypot(best.x[2], best.x[3]), math.sqrt(2 * math.log(2)) / (2 * math.pi * math.exp(best.x[4]))
    return {
        "r2": 1 - 2 * best.cost / (atom**2).sum(),
        "angle": math.atan2(best.x[2], best.x[3]) % math.pi,
        "octaves": math.log2((f + half) / (f - half)) if f > half else math.inf,
        "fitted": (residual(best.x) + atom.ravel()).reshape(side, side),
    }


def dictionary(material: dict[str, Any]) -> Figure:
    """The learned atoms."""
    atoms = material["atoms"]
    across = math.ceil(math.sqrt(len(atoms)) * 1.25)
    figure, axis = canvas(6.4, 6.4 * math.ceil(len(atoms) / across) / across)
    axis.imshow(tiled(atoms, across), cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
    axis.set_axis_off()
    return figure


def gabors(material: dict[str, Any]) -> Figure:
    """Atoms above the Gabor functions that fit them."""
    order = sorted(material["fits"], key=lambda pair: -pair[1]["r2"])[:: max(1, len(material["fits"]) // 12)][:12]
    figure, axes = canvas(6.4, 1.6, 2, len(order))
    for column, (atom, fit) in enumerate(order):
        for row, image in enumerate((atom, fit["fitted"])):
            axes[row, column].imshow(image, cmap="gray", vmin=-abs(atom).max(), vmax=abs(atom).max())
            axes[row, column].set_axis_off()
        axes[0, column].set_title(f"{fit['r2']:.2f}", loc="center")
    return figure


def spikes(material: dict[str, Any]) -> Figure:
    """Spikes of one signal's neurons, and their codes beside the rates'."""
    figure, axes = canvas(6.4, 2.8, 1, 2, width_ratios=(1.6, 1))
    times, neurons = material["raster"]
    early = times < 150
    axes[0, 0].plot(times[early], neurons[early], "|", ms=2, color=COLOURS[0])
    axes[0, 0].set(xlabel="ms", ylabel="neuron")
    rate, spike = material["codes"]
    axes[0, 1].axline((0, 0), slope=1, color=COLOURS[5], lw=0.8)
    axes[0, 1].plot(rate.flatten(), spike.flatten(), "o", ms=3, color=COLOURS[0])
    axes[0, 1].set(xlabel="LCA", ylabel="read from spikes")
    return figure


def tiled(atoms: np.ndarray, across: int) -> np.ndarray:
    """Atoms (M, side, side) on one sheet, each at full contrast."""
    side = atoms.shape[1] + 1
    sheet = np.zeros((math.ceil(len(atoms) / across) * side + 1, across * side + 1))
    for k, atom in enumerate(atoms):
        top, left = k // across * side + 1, k % across * side + 1
        sheet[top : top + side - 1, left : left + side - 1] = atom / abs(atom).max()
    return sheet


OLSHAUSEN = "Olshausen and Field (1996), Nature 381:607, figure 4"
IMAGES_ONLY = {"pixels": "permuted", "parts": "images"}

register(
    Experiment(
        name="sparse_coding",
        title="Sparse coding by competition",
        paper="C. J. Rozell, D. H. Johnson, R. G. Baraniuk and B. A. Olshausen (2008). Sparse coding via thresholding "
        "and local competition in neural circuits. Neural Comput. 20:2526-2563.",
        doi="10.1162/neco.2008.03-07-486",
        summary="Neurons driven by how well their feature matches, and inhibited by others with similar features, "
        "settle at a sparse code; features that learn from what the code leaves over become local, oriented and "
        "band-pass on natural images. The photographs are the two that come with scikit-learn.",
        claims=(
            Claim(
                "LCA with a soft threshold settles at the lasso's minimum.",
                "section 3.2",
                "lca",
                AtMost(1e-3),
                0.0,
                "the criterion requested; LCA stops when activations move by less than 1 % of λ per τ",
                {"competition": False, "parts": "codes"},
            ),
            Claim(
                "Leaky integrate-and-fire neurons that inhibit each other by spikes reach the same objective.",
                "Shapero, Zhu, Hasler and Rozell (2014), Int. J. Neural Syst. 24:1440001",
                "spikes",
                AtMost(1e-3),
                0.0,
                "a threshold of λ/10, counted over half a second",
                {"duration": 20.0, "parts": "codes"},
            ),
            Claim(
                "Signals made sparsely from a dictionary are enough to find it.",
                "Olshausen and Field (1997)",
                "planted",
                AtLeast(0.95),
                0.0,
                "the mean of 32 atoms, matched one to one: one may be missed, as some seeds do; random atoms reach 0.6",
                {"sources": "dense", "parts": "dictionary"},
            ),
            Claim(
                "Most atoms of natural images are Gabor functions (R² of at least 0.8).",
                OLSHAUSEN,
                "gabors",
                AtLeast(0.6),
                0.0,
                "patches whose pixels are permuted yield none",
                IMAGES_ONLY,
            ),
            Claim(
                "Their bandwidth is one to two octaves.",
                OLSHAUSEN,
                "bandwidth",
                1.5,
                0.5,
                "the paper's range; simple cells have 1.4",
                IMAGES_ONLY,
                "octaves",
                only="full size",
            ),
            Claim(
                "They point in all directions.",
                OLSHAUSEN,
                "orientations",
                4,
                0,
                "quarters of the half circle that hold a Gabor atom",
                IMAGES_ONLY,
                only="full size",
            ),
        ),
        measure=measure,
        pictures={
            "Atoms learned from two whitened photographs.": dictionary,
            "Atoms, by the R² of the Gabor functions below them.": gabors,
            "Spikes of the first signal's 128 neurons; all six codes read from spikes, beside LCA's.": spikes,
        },
    )
)
