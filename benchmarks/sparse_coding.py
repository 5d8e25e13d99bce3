"""LCA beside scikit-learn's sparse_encode, 16×16 patches, 1024 atoms.

OMP_NUM_THREADS=1 python -m benchmarks.sparse_coding

Patches of scikit-learn's sample images, whitened, without those below a tenth of the mean contrast; a dictionary four
times overcomplete, learned by a short run. Prints the median of process-CPU milliseconds a patch over rounds in turn,
the ratio to ours, and how far the mean objective is above the least of all. `lca` runs in float32 at the tolerance
that brings it within 1e-3 of the least objective, the peers in float64 at their own.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from sklearn.datasets import load_sample_images
from sklearn.decomposition import sparse_encode

from ranvier.energies.sparse_coding import DictionaryLearning, fista, lca, objective, patches, whitened


def problem(count: int, batches: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Patches (count, 256) of mean variance 1, and a dictionary (1024, 256) learned from others."""
    images = [whitened(image.mean(2)) for image in load_sample_images().images]
    result = patches(images, 16, 20_000 + 2 * count, seed=0)
    length = np.linalg.norm(result, axis=1)
    result = result[length > 0.1 * length.mean()]
    result /= result.std()
    model = DictionaryLearning(1024, lam=1.0, max_iter=batches, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(result[count:].astype(np.float32))
    return torch.from_numpy(result[:count]), torch.from_numpy(model.components_).double()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sparse_coding", description=__doc__)
    parser.add_argument("--patches", type=int, default=200)
    parser.add_argument("--batches", type=int, default=150, help="of dictionary learning")
    parser.add_argument("--lam", type=float, nargs="+", default=[0.5, 1.0])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    x, D = problem(options.patches, options.batches)
    x32, D32 = x.float(), torch.nn.functional.normalize(D).float()
    D = D32.double()
    print("| λ | side | ms a patch, median (least) | over ours | objective above the least | active |")
    print("|---|---|---|---|---|---|")
    for lam in options.lam:
        sides: dict[str, Callable[[], torch.Tensor]] = {
            "ranvier lca": lambda lam=lam: lca(x32, D32, lam, tol=0.03).double(),
            "ranvier fista": lambda lam=lam: fista(x32, D32, lam, tol=1e-3).double(),
        }
        for peer in ("lasso_cd", "lasso_lars"):
            sides[f"scikit-learn {peer}"] = lambda lam=lam, peer=peer: torch.from_numpy(
                sparse_encode(x.numpy(), D.numpy(), algorithm=peer, alpha=lam, max_iter=1000)
            )
        codes, times = {}, {side: [] for side in sides}
        for side, run in sides.items():
            codes[side] = run()
        for turn in range(options.rounds):
            for side, run in sides.items():
                if side.endswith("lars") and turn >= 2:  # slow
                    continue
                began = time.process_time()
                run()
                times[side].append(1000 * (time.process_time() - began) / len(x))
        values = {side: float(objective(x, D, code, lam).mean()) for side, code in codes.items()}
        least, ours = min(values.values()), statistics.median(times["ranvier lca"])
        for side, seconds in times.items():
            middle = statistics.median(seconds)
            print(
                f"| {lam} | {side} | {middle:.3f} ({min(seconds):.3f}) | {middle / ours:.1f} "
                f"| {values[side] / least - 1:.1e} | {(codes[side] != 0).sum(1).double().mean():.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
