"""Final and recorded weights on disk: those of a run that may go on, and those of a saved recording."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ranvier.engines.recording.weights import NONE, PREFIX, Weights, WeightTrace
from ranvier.files.atomic import read_tensors, write_tensors

if TYPE_CHECKING:
    from ranvier.engines.recording.segments import RunFolder

_FILE = "weights.safetensors"


def write_weights(folder: Path, weights: Weights) -> None:
    """Beside a saved recording: final weights, and their traces."""
    if not len(weights):
        return
    out: dict[str, NDArray[Any]] = {}
    for index in weights:
        out[f"final/{index}"] = weights[index].numpy()
        if index in weights._traces:
            trace = weights.trace(index)
            out |= {f"{k}/{index}": getattr(trace, k).numpy() for k in ("times", "edges", "values")}
    write_tensors(folder / _FILE, out)


def stored_weights(run: RunFolder, network: Any) -> Weights:
    """Of a folder, each read when requested."""
    import torch

    if (run.path / _FILE).exists():
        stored = read_tensors(run.path / _FILE)
        indices = [int(k.removeprefix("final/")) for k in stored if k.startswith("final/")]
        traced = [k for k in indices if f"times/{k}" in stored]
        traces = {
            k: WeightTrace(*(torch.from_numpy(stored[f"{name}/{k}"]) for name in ("times", "edges", "values")))
            for k in traced
        }
        return Weights({k: stored[f"final/{k}"] for k in indices}, traces)
    projections = [] if network is None else [p for p in network.projections if p.plasticity is not None]
    if network is not None and not projections:
        return NONE

    def final(p: Any) -> NDArray[Any]:
        from ranvier.engines.plasticity.tables import edge_weights

        state = run.state()
        if state is None:
            raise ValueError(f"{run.path} holds no state; expected a run of simulate(..., path=...)")
        return edge_weights(p, run.dt, state)

    def trace(name: str) -> WeightTrace:
        steps, edges, values = run.trace(name)
        return WeightTrace(*(torch.from_numpy(np.ascontiguousarray(x)) for x in (steps * run.dt, edges, values)))

    names = [name for name in run.trace_neurons if name.startswith(PREFIX)]
    return Weights(
        {p.index: partial(final, p) for p in projections},
        {int(name.removeprefix(PREFIX)): partial(trace, name) for name in names},
    )


__all__ = ["stored_weights", "write_weights"]
