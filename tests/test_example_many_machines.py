"""The example of one network on several processes, as torchrun starts it: with its variables in the environment."""

import runpy
import socket
import sys
from pathlib import Path

import pytest
import torch

from tests.processes import Child

SCRIPT = Path(__file__).parents[1] / "examples" / "many_machines.py"


def script(*arguments: str) -> None:
    sys.argv = [str(SCRIPT), *arguments]
    runpy.run_path(str(SCRIPT), run_name="__main__")


@pytest.mark.skipif(
    not torch.distributed.is_available() or not torch.distributed.is_gloo_available(), reason="torch has no gloo"
)
def test_two_processes_print_what_one_does(tmp_path):
    arguments = "--neurons", "1000", "--seconds", "0.1"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    world = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    both = [Child(script, *arguments, "--out", str(tmp_path / "run"), env={**world, "RANK": str(r)}) for r in (0, 1)]
    printed = [process.communicate()[0].strip() for process in both]
    one = Child(script, *arguments).communicate()[0].strip()
    assert printed == [one, ""] and one.endswith("Hz") and not one.startswith("0 ")
    assert sorted({p.name.split(".")[1] for p in (tmp_path / "run").glob("segment-*")}) == [
        "rank-00000-of-00002", "rank-00001-of-00002"
    ]  # fmt: skip


def test_the_batch_script_starts_it_with_options_that_it_has():
    text = SCRIPT.with_suffix(".sbatch").read_text()
    assert text.startswith("#!/bin/bash\n#SBATCH") and "torchrun" in text and f"examples/{SCRIPT.name}" in text
    options = {word for word in text.split(SCRIPT.name)[1].split() if word.startswith("--")}
    assert options and all(f'"{option}"' in SCRIPT.read_text() for option in options)
