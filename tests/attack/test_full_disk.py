"""A full disk: every writer names the file, leaves none half written, and goes on, or can be called again, once there
is room."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("resource", reason="the limit is of POSIX")
from tests.attack.writers import WRITERS

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "ranvier"
#: files that write, and through which writer they are tried here, or where else
WRITING = {
    "cli/reads.py": "tests/interpret/test_read_page.py, by report/_page.py",
    "files/atomic.py": "all others", "files/run_folder.py": "tests/test_cli_locks.py",
    "cli/runs.py": "tests/test_cli_locks.py", "cli/exports.py": "as cli/runs.py",
    "report/explore/tables.py": "write_csv", "atlas/execution.py": "atlas", "atlas/site/_build.py": "site",
    "codegen/cache/folder.py": "a cache: code is not kept, tests/codegen/test_kernel_cache.py",
    "brains/_fly.py": "as cli/runs.py", "cli/flies.py": "tests/test_cli_flybrain.py",
    "report/dose_page.py": "session page, by report/_page.py",
    "recordings/challenges.py": "tests/recordings/test_challenges.py",
    "data/_build.py": "run by hand from a checkout", "engines/recording/_exports.py": "Recording.save",
    "engines/recording/_weights_files.py": "simulate", "engines/recording/recording.py": "Recording.save",
    "engines/recording/segments.py": "simulate", "interpret/language_models/checkpoints.py": "as Recording.save",
    "interpret/recording.py": "activations", "learners/fitting/_checkpoint.py": "fit",
    "learners/fitting/_log.py": "fit",
    "plot/animations.py": "tests/plot/test_monitors.py",
    "networks/nir/files.py": "write_nir", "networks/store.py": "write_network", "report/_page.py": "session page",
    "report/session_page.py": "session page", "verify/competition.py": "verify",
}  # fmt: skip


def test_every_file_that_writes_is_listed():
    words = re.compile(r"write_atomic|atomic_path|atomic_folder|write_json|write_tensors|write_text|write_bytes")
    example = re.compile(r"^ *(>>>|\.\.\.) .*$", re.MULTILINE)  # may write what it reads
    writing = {
        str(p.relative_to(SOURCE)) for p in SOURCE.rglob("*.py") if words.search(example.sub("", p.read_text("utf-8")))
    }
    assert writing == set(WRITING)


@pytest.mark.long
def test_a_full_disk_is_named(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tests.attack.writers", str(tmp_path), "0", "600"], cwd=ROOT, capture_output=True,
        text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    answers = json.loads(done.stdout.splitlines()[-1])
    assert {name for name, *_ in answers} == WRITERS.keys()
    for name, most, kind, words, left in answers:
        if most and kind == "nothing":  # what it writes is smaller
            continue
        assert kind == "OSError" and str(tmp_path / name.replace(" ", "_")) in words, (name, kind, words)
        assert "->" not in words and ("goes on" in words or not WRITERS[name][1]), (name, words)
        assert not left, (name, left)
    assert sum(kind == "OSError" for _, most, kind, *_ in answers if most) > 5
