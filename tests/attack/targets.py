"""What the standing attack opens: every reader of files, with an original to be spoilt."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Target:
    """`write(path)` makes the original, `part` names its file that is attacked (None: the path itself); `share` is
    how many inputs it gets beside the others, less where each costs a process or a simulation."""

    name: str
    reader: str
    write: Callable[[Path], Any]
    part: str | None = None
    suffix: str = ""
    share: float = 1.0
    changes: bool = False  # what is read is written to as well, so that each input needs its own folder

    def file(self, path: Path) -> Path:
        """The file that is attacked."""
        return path if self.part is None else sorted(path.glob(self.part))[0]


def targets() -> dict[str, Target]:
    """By name."""
    from tests.attack.originals import originals
    from tests.networks.test_reader_laws import FILES

    out = []
    for case in FILES:
        parts = ["network.json", "tensors-*.safetensors"] if case.name == "read_network" else [case.part]
        share = 0.003 if "nir" in case.name else 1.0
        out += [Target(_name(case.name, p), case.name, case.write, p, case.suffix, share) for p in parts]
    for name, (write, suffix, share) in FORMATS.items():
        out.append(Target(f"read_edges/{name}", "read_edges", write, suffix=suffix, share=share))
    out.append(Target("read_network/own models", "read_network", _own_models, "network.json", share=0.2))
    for part, share in (("manifest.json", 0.3), ("segment-000000.safetensors", 0.3), ("traces.safetensors", 0.3)):
        out.append(Target(f"Recording.open/{part}", "Recording.open", _run, part, share=share))
    for part in ("manifest.json", "state-*.safetensors"):
        out.append(Target(f"resume/{part}", "resume", _run, part, share=0.01, changes=True))
    out.append(Target("fit/checkpoint.json", "checkpoint", _checkpoint, "checkpoint.json", share=1.5))
    out.append(Target("atlas/result.json", "atlas", _result, "result.json", share=2.0))
    out.append(Target("ranvier run/settings.json", "settings", _settings, "settings.json", share=2.0))
    for name, (reader, write, part, suffix, share) in originals().items():
        out.append(Target(name, reader, write, part, suffix, share))
    signs, nodes = "class,sign\nlocal,-1\nAPL,1\nx y,0\n", "id,class,sign\n1,local,-1\n2,b,1\n3,b,0\n"
    out.append(Target("--signs", "signs", lambda path: path.write_text(signs), share=2.0))
    out.append(Target("--nodes", "nodes", lambda path: path.write_text(nodes), share=2.0))
    return {target.name: target for target in out}


def _name(reader: str, part: str | None) -> str:
    return reader if part is None else f"{reader}/{part}"


def _graph(writer: str) -> Callable[[Path], Any]:
    def write(path: Path) -> None:
        import networkx as nx

        graph = nx.DiGraph([("a", "b"), ("b", "c"), ("c", "a")])
        nx.set_edge_attributes(graph, {("a", "b"): 1.5, ("b", "c"): -2.0, ("c", "a"): 1.0}, "weight")
        nx.set_node_attributes(graph, {"a": "k", "b": "k", "c": "l"}, "class")
        if writer == "json":
            path.write_text(json.dumps(nx.node_link_data(graph, edges="links")))
        else:
            getattr(nx, f"write_{writer}")(graph, path)

    return write


def _matrix(writer: str) -> Callable[[Path], Any]:
    def write(path: Path) -> None:
        import numpy as np
        import scipy.io
        import scipy.sparse as sp

        matrix = np.array([[0.0, 2.0, 0.0], [0.0, 0.0, 1.0], [-1.0, 0.0, 4.0]])
        if writer == "npy":
            np.save(path, matrix)
        elif writer == "npz":
            np.savez_compressed(path, matrix=matrix)
        elif writer == "market":
            scipy.io.mmwrite(path, sp.coo_array(matrix), symmetry="general")
        else:
            np.savetxt(path, matrix, delimiter=",")

    return write


def _table(kind: str) -> Callable[[Path], Any]:
    def write(path: Path) -> None:
        if kind == "xlsx":
            import openpyxl

            book = openpyxl.Workbook()
            for row in (("source", "target", "weight"), ("a", "b", 1.0), ("b", "c", 2.5), ("c", "a", -1)):
                book.active.append(row)
            book.save(path.with_suffix(".xlsx"))
            path.with_suffix(".xlsx").rename(path)
            return
        import pyarrow as pa

        table = pa.table({"source": ["a", "b", "c"], "target": ["b", "c", "a"], "weight": [1.0, 2.0, -1.0]})
        if kind == "parquet":
            import pyarrow.parquet as pq

            pq.write_table(table, path)
        else:
            import pyarrow.feather as feather

            feather.write_feather(table, str(path))

    return write


FORMATS: dict[str, tuple[Callable[[Path], Any], str, float]] = {
    "node-link": (_graph("json"), "", 1.5), "gexf": (_graph("gexf"), "", 0.5), "gml": (_graph("gml"), "", 0.5),
    "pajek": (_graph("pajek"), "", 0.1), "matrix": (_matrix("text"), "", 1.5), "npy": (_matrix("npy"), ".npy", 1.0),
    "npz": (_matrix("npz"), ".npz", 1.0), "matrix market": (_matrix("market"), ".mtx", 1.0),
}  # fmt: skip
_LIBRARIES = ("parquet", "pyarrow", 0.002), ("feather", "pyarrow", 0.002), ("xlsx", "openpyxl", 0.3)
for _kind, _library, _share in _LIBRARIES:
    if find_spec(_library):
        FORMATS[_kind] = _table(_kind), "", _share


def _own_models(path: Path) -> None:
    """A network whose neuron, synapse and rule are equations in the file."""
    import ranvier as rv
    from tests.attack.test_code_from_names import network

    rv.write_network(network(), path)


def _run(path: Path) -> None:
    import ranvier as rv
    from tests.attack.runs import network

    rv.simulate(network(), 10.0, dt=0.5, seed=3, path=path, record=["V"])


def _checkpoint(path: Path) -> None:
    import torch

    from ranvier.learners.fitting._checkpoint import Checkpoint

    Checkpoint(path, {"name": "a"}).save(3, {"w": torch.ones(2, 2), "lr": 0.1, "steps": [1, 2], 4: (None, True)})


def _result(path: Path) -> None:
    path.mkdir()
    claim = {"text": "a", "verdict": "reproduced", "measured": 1.0}
    (path / "result.json").write_text(json.dumps({"name": "x", "seed": 0, "claims": [claim]}))


def _settings(path: Path) -> None:
    _run(path / "run")
    (path / "settings.json").write_text(json.dumps({"wiring": "larva", "seed": 0, "gain": None}))


def copied(target: Target, original: Path, work: Path) -> Path:
    """The file to be spoilt, of a copy of the original; the original's own bytes stay."""
    if original.is_dir():
        shutil.copytree(original, work)
    else:
        shutil.copy(original, work)
    return target.file(work)
