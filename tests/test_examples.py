"""Every example runs as its first lines say, for one epoch on a few made-up data."""

import runpy
import struct
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def mnist(folder: Path, rng: np.random.Generator) -> None:
    """Idx files; the example holds 5000 images out. What an image shows is where it is bright."""
    labels = rng.integers(10, size=5256).astype(np.uint8)
    images = np.zeros((len(labels), 28, 28), np.uint8)
    images[np.arange(len(labels)), 2 * labels + 4] = 255
    for part, n in (("train", len(labels)), ("t10k", 50)):
        for kind, values in (("images-idx3", images[:n]), ("labels-idx1", labels[:n])):
            head = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
            (folder / f"{part}-{kind}-ubyte").write_bytes(head + values.tobytes())


def nmnist(folder: Path, rng: np.random.Generator) -> None:
    """Ten recordings of 200 events: x, y, polarity and 23 bits of time in µs."""
    for k in range(10):
        times = np.sort(rng.integers(300_000, size=200))
        rows = [rng.integers(34, size=200), rng.integers(34, size=200), times >> 16, times >> 8 & 255, times & 255]
        (folder / f"{k}.bs2").write_bytes(np.stack(rows, 1).astype(np.uint8).tobytes())
    (folder / "train1K.txt").write_text("".join(f"{k}\t{k}\n" for k in range(10)))


def half_cheetah(folder: Path, rng: np.random.Generator) -> None:
    """Slow sines, whose next frame is near the last one."""
    for k in range(25):
        phase = np.arange(100)[:, None] / 20 + rng.uniform(0, 6, 17)
        np.save(folder / f"trace_{k:04d}.npy", np.sin(phase))


def occupancy(folder: Path, rng: np.random.Generator) -> None:
    """The light is on where somebody is."""
    start = datetime(2015, 2, 4, 17, 51)
    for name in ("datatraining", "datatest", "datatest2"):
        rows = ['"date","Temperature","Humidity","Light","CO2","HumidityRatio","Occupancy"']
        for k in range(120):
            there, noise = k // 20 % 2, rng.normal(size=4)
            values = 20 + noise[0], 27 + noise[1], 400 * there, 700 + noise[2], 0.005 + noise[3] / 1000
            at = start + timedelta(minutes=k)
            rows.append(",".join([f'"{k}"', f'"{at}"', *(f"{v:g}" for v in values), str(there)]))
        (folder / f"{name}.txt").write_text("\n".join(rows) + "\n")


CASES = {
    "mnist": (mnist, ["--test"], "test accuracy"),
    "nmnist": (nmnist, [], " J (float32)"),
    "half_cheetah": (half_cheetah, ["--cell", "ltc"], "test: mean squared error"),
    "half_cheetah gru": (half_cheetah, ["--cell", "gru"], "test: mean squared error"),
    "occupancy": (occupancy, ["--cell", "cfc"], "datatest2: accuracy"),
    "occupancy gru": (occupancy, ["--cell", "gru"], "datatest2: accuracy"),
}


def test_every_example_is_a_case() -> None:
    others = {"many_machines"}  # in a file of its own
    assert {name.split()[0] for name in CASES} | others == {p.stem for p in EXAMPLES.glob("[!_]*.py")}


@pytest.mark.parametrize("name", CASES)
def test_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    make, options, prediction = CASES[name]
    make(tmp_path, np.random.default_rng(0))
    script = EXAMPLES / f"{name.split()[0]}.py"
    inputs = [str(tmp_path), "--epochs", "1", "--checkpoint", str(tmp_path / "run"), *options]
    monkeypatch.setattr("sys.argv", [str(script), *inputs])
    monkeypatch.syspath_prepend(str(EXAMPLES))
    runpy.run_path(str(script), run_name="__main__")
    printed = capsys.readouterr().out
    assert "epoch 1:" in printed and prediction in printed and "nan" not in printed
    assert (tmp_path / "run" / "log.jsonl").is_file()
