"""Recordings and analyses beside NumPy's one-liners, and at their sizes: python -m benchmarks.brains [PART ...].

Parts: comparison (CKA and RSA against one-liners, medians of pairs in CPU time of this process), encoding (20 000
vertices of 10 000 images), vessels (a million places), large (PCA, CKA and decoding of 10 000 neurons in 100 000 bins,
from disk). Memory is the process's high-water mark.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from ranvier.analysis.comparison import cka, rsa
from ranvier.analysis.encoding import fit_encoder
from ranvier.analysis.manifolds import principal_components

SIZES = ((118, 50), (118, 2000), (1000, 100), (1000, 1000), (5000, 300), (300, 5000))  # stimuli, neurons


def plain_cka(x: np.ndarray, y: np.ndarray) -> float:
    """Kornblith et al. (2019), as it is written everywhere."""
    x, y = x - x.mean(0), y - y.mean(0)
    return float(np.linalg.norm(x.T @ y) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)))


def plain_rsa(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's correlation of the upper triangles of correlation matrices."""
    upper = np.triu_indices(len(x), 1)
    return float(spearmanr(np.corrcoef(x)[upper], np.corrcoef(y)[upper])[0])


def comparison(repeats: int = 9) -> None:
    rng = np.random.default_rng(0)
    for ours, plain in ((cka, plain_cka), (rsa, plain_rsa)):
        for stimuli, neurons in SIZES:
            if ours is rsa and stimuli > 1000:
                continue
            x, y = rng.standard_normal((2, stimuli, neurons))
            assert abs(ours(x, y) - plain(x, y)) < 1e-9
            ratios = []
            for _ in range(repeats):
                a, b = (seconds(partial(f, x, y), 1 if x.size > 5e5 else 20) for f in (ours, plain))
                ratios.append(a / b)
            print(f"{ours.__name__} of {stimuli} x {neurons}: {statistics.median(ratios):.2f} of the one-liner's time "
                  f"(median of {repeats} pairs)", flush=True)  # fmt: skip


def encoding(images: int = 10_000, vertices: int = 20_000) -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((images, 500))
    responses = rng.standard_normal((images, vertices), dtype=np.float32)
    spent = seconds(lambda: fit_encoder(features, responses, k=100), 1)
    print(f"encoder of {vertices} vertices from {images} images: {spent:.1f} s of CPU, peak {memory():.0f} MiB")


def vessels(places: int = 1_000_000) -> None:
    from ranvier.recordings.vessels import draw_vessels, heuristics, link_auc, predict_links, split_links

    start = time.process_time()
    graph = draw_vessels(places)
    drawn = time.process_time()
    split = split_links(graph)
    print(f"{places} places, {len(graph.ends)} vessels: drawn in {drawn - start:.0f} s of CPU, split in "
          f"{time.process_time() - drawn:.0f} s, peak {memory():.0f} MiB", flush=True)  # fmt: skip
    start = time.process_time()
    area = link_auc(heuristics(split.graph, split.test)["distance"], split.test)
    print(f"heuristics: {time.process_time() - start:.0f} s, distance's area {area:.3f}", flush=True)
    start = time.process_time()
    area = link_auc(predict_links(split, "sage", epochs=5, width=16), split.test)
    print(f"GraphSAGE, 5 passes: {time.process_time() - start:.0f} s, area {area:.3f}, peak {memory():.0f} MiB")


def large(bins: int = 100_000, neurons: int = 10_000) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "activity.npy"
        x = np.lib.format.open_memmap(file, "w+", np.float32, (bins, neurons))
        rng = np.random.default_rng(0)
        axes = rng.standard_normal((5, neurons)).astype(np.float32)
        for at in range(0, bins, 5000):
            x[at : at + 5000] = rng.standard_normal((min(5000, bins - at), 5)) @ axes
            x[at : at + 5000] += rng.standard_normal((min(5000, bins - at), neurons), dtype=np.float32)
        start = time.process_time()
        share = principal_components(x, 5).explained.sum()
        print(f"5 components of {bins} x {neurons} (explained {share:.2f}, 0.83 planted): "
              f"{time.process_time() - start:.0f} s of CPU, peak {memory():.0f} MiB", flush=True)  # fmt: skip


def seconds(call: Callable[[], object], times: int) -> float:
    start = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - start) / times


def memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


PARTS: dict[str, Callable[[], None]] = {
    "comparison": comparison, "encoding": encoding, "vessels": vessels, "large": large,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    for part in parser.parse_args().parts or ["comparison"]:
        PARTS[part]()


if __name__ == "__main__":
    main()
