"""Everything that writes files, on a disk that is full: what each says, as JSON.

python -m tests.attack.writers FOLDER BYTES ...: no file may grow beyond that many bytes, for each number given. That
stands for a full disk, and needs neither root nor a file system of its own.
"""

from __future__ import annotations

import json
import resource
import shutil
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def _simulate(path: Path) -> None:
    import ranvier as rv
    from tests.attack.runs import network

    rv.simulate(network(), 100.0, dt=0.5, seed=3, path=path, record=["V"], engine="torch")


def _fit(path: Path) -> None:
    import torch

    import ranvier as rv

    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    learner = rv.learners.BPTT(model, torch.nn.functional.cross_entropy, optimizer, accuracy=None)
    rv.fit(learner, [(torch.ones(4, 3), torch.tensor([0, 1, 0, 1]))] * 3, 2, path, progress=False)


def _activations(path: Path) -> None:
    import torch

    from ranvier.interpret import activations

    activations(torch.nn.Sequential(torch.nn.Linear(3, 40)), [torch.ones(200, 3)], ["0"], path)


def _atlas(path: Path) -> None:
    from ranvier.atlas import run
    from tests.atlas.demo_experiment import DEMO

    (result,) = run([DEMO], path, seed=0)
    if "error" in result:
        raise OSError(result["error"])


def _site(path: Path) -> None:
    from ranvier.atlas import get
    from ranvier.atlas.site import build

    build([get("active_inference")], path / "none", path)


def _network(path: Path) -> None:
    import ranvier as rv
    from tests.attack.runs import network

    rv.write_network(network(), path)


def _nir(path: Path) -> None:
    import ranvier as rv
    from tests.networks.test_reader_laws import small

    rv.write_nir(small(), path)


def _layers(path: Path) -> None:
    import ranvier as rv
    from tests.networks.test_reader_laws import layers

    rv.nn.write_nir(layers(), path)


def _recording(path: Path) -> None:
    import ranvier as rv
    from tests.attack.runs import network

    rv.simulate(network(), 20.0, dt=0.5, seed=3, record=["V"], engine="torch").save(path)


def _page(path: Path) -> None:
    from ranvier.recordings import Session
    from ranvier.report.session_page import write_session_page

    times = np.arange(1.0, 6000.0, 15.0)
    write_session_page(path, Session.from_times(times, np.arange(len(times)) % 3, duration=6000.0))


def _table(path: Path) -> None:
    from ranvier.report import Column, DataTable, write_csv

    write_csv(path, DataTable("rows", [Column("x", "x", np.arange(500.0))]))


def _proof(path: Path) -> None:
    from ranvier.verify.competition import run_instance
    from tests.attack.originals import write_onnx

    network, rule = path.with_name("net.onnx"), path.with_name("rule.vnnlib")
    if not network.exists():
        write_onnx(network)
        lines = [f"(declare-const X_{k} Real)\n(assert (>= X_{k} 0.0))\n(assert (<= X_{k} 0.1))" for k in range(50)]
        lines += [f"(declare-const Y_{k} Real)" for k in range(2)]
        rule.write_text("\n".join([*lines, "(assert (>= Y_0 0.0))\n"]))
    run_instance(network, rule, timeout=2.0, out=path)


#: name -> (writes to a path, whether the same call goes on once there is room)
WRITERS: dict[str, tuple[Callable[[Path], Any], bool]] = {
    "simulate": (_simulate, True), "fit": (_fit, True), "activations": (_activations, True), "atlas": (_atlas, True),
    "site": (_site, False), "write_network": (_network, False), "write_nir": (_nir, False),
    "nn.write_nir": (_layers, False), "Recording.save": (_recording, False), "session page": (_page, False),
    "verify": (_proof, False), "write_csv": (_table, False),
}  # fmt: skip


def main(folder: Path, limits: list[int]) -> None:
    """Prints a list of [name, limit, kind of error, its words, what is left half written]."""
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    answers: list[list[Any]] = []
    for name, (write, _) in WRITERS.items():
        path = folder / name.replace(" ", "_")
        write(path)  # what is imported, compiled or prepared at first is so while there is room
        for most in limits:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
            kind, words = "nothing", ""
            try:
                write(path)
            except Exception as error:
                kind, words = "OSError" if isinstance(error, OSError) else type(error).__name__, str(error)
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            answers.append([name, most, kind, words, [p.name for p in folder.rglob(".*") if p.name != ".lock"]])
            write(path)  # there is room again
    print(json.dumps(answers))


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(word) for word in sys.argv[2:]])
