"""A process that opens hostile files: what it does with each, a line of JSON. It may crash; then the parent knows."""

from __future__ import annotations

import json
import resource
import signal
import time
from pathlib import Path

SECONDS = 20  # on the clock: what takes longer hangs


def _recording(path):
    from ranvier.engines import Recording

    recording = Recording.open(path)
    states = [recording.states[name].values for name in recording.states]
    weights = [recording.weights[index] for index in recording.weights]
    return recording, recording.rates(), recording.times, recording.covariance(2.0), states, weights


def _checkpoint(path):
    from ranvier.learners.fitting._checkpoint import Checkpoint

    return Checkpoint(path, {"name": "a"}).load()


def _resume(path):
    import ranvier as rv
    from tests.attack.runs import network

    return rv.simulate(network(), 20.0, dt=0.5, seed=3, path=path, record=["V"])


def _settings(path):
    from ranvier.files.run_folder import run_folder

    with run_folder(Path(path), {"wiring": "larva", "seed": 0, "gain": None}, again=False):
        pass


def _nodes(path):
    import ranvier as rv

    edges = Path(path).with_suffix(".edges")
    edges.write_text("source,target,weight\n1,2,1\n2,3,1\n")
    return rv.read_edges(edges, nodes=path)


def _signs(path):
    from ranvier.brains import read_signs

    return read_signs(str(path))


def readers():
    import ranvier as rv
    import ranvier.learners.datasets.events
    import ranvier.learners.datasets.idx
    from ranvier.atlas.execution import read_result
    from ranvier.cables import read_swc
    from ranvier.cli.reads import read_texts
    from ranvier.interpret import read_model
    from ranvier.verify.graphs.onnx_files import from_onnx
    from ranvier.verify.vnnlib import read_vnnlib
    from tests.attack import originals

    public = {name: getattr(rv.networks, name) for name in rv.networks.__all__ if name.startswith("read_")}
    return public | {
        "nn.read_nir": rv.nn.read_nir,
        "Recording.open": _recording,
        "checkpoint": _checkpoint,
        "atlas": lambda path: read_result(Path(path).parent, Path(path).name),
        "resume": _resume,
        "settings": _settings,
        "read_session": originals.open_session,
        "read_arrays": lambda path: originals.open_session(path, bin=10.0),
        "read_activations": originals.open_activations,
        "read_idx": rv.learners.datasets.idx.read_idx,
        "read_aedat": rv.learners.read_aedat,
        "read_evt": rv.learners.read_evt,
        "read_shd": rv.learners.read_shd,
        "read_bs2": rv.learners.datasets.events.read_bs2,
        "read_swc": read_swc,
        "read_vnnlib": lambda path: read_vnnlib(path, 2, 1),
        "from_onnx": from_onnx,
        "read_model": read_model,
        "store_model": originals.store,
        "board": originals.serve,
        "link": originals.ask,
        "texts": lambda path: read_texts([str(path)], 10),
        "nodes": _nodes,
        "signs": _signs,
    }


def main(jobs):
    """Open each (reader, path)."""
    known = readers()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    for name, path in jobs:
        clock, cpu = time.perf_counter(), _cpu()
        signal.alarm(SECONDS)
        try:
            value = known[name](path)
            out = {"kind": "read", "type": type(value).__name__, "message": ""}
        except (ValueError, OSError) as error:
            out = {"kind": "refused", "type": type(error).__name__, "message": str(error)}
        except BaseException as error:
            out = {"kind": "error", "type": type(error).__name__, "message": str(error)[:500]}
        signal.alarm(0)
        print(json.dumps({**out, "cpu": _cpu() - cpu, "wall": time.perf_counter() - clock}), flush=True)


def _cpu():
    """Seconds of computing, children's too."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )
