"""The README's examples run as they stand (for a shorter time)."""

import re
from pathlib import Path

import pytest
import torch

import ranvier as rv

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    monkeypatch.chdir(tmp_path)
    return re.findall(r"```python\n(.*?)```", README, re.S)


def test_the_first_example(blocks: list[str], tmp_path: Path):
    names: dict = {}
    assert "60_000.0" in blocks[0]
    exec(blocks[0].replace("60_000.0", "12_000.0"), names)
    simulated, predicted = names["recording"].rates(), names["prediction"].rates()
    assert simulated.mean() > 5 and abs(simulated.mean() / predicted.mean() - 1) < 0.1
    assert "Predicted beside simulated" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_neuron_of_ones_own(blocks: list[str]):
    names = {"rv": rv}
    exec(blocks[1], names)
    net = rv.Network()
    net.add(names["Theta"](), 200, drive=6.0, noise=4.0)
    simulated = rv.simulate(net, 4000.0, dt=0.02).after(200.0).rates()
    predicted = rv.predict(net).rates()
    sampling = 4 * simulated.std() / 200**0.5
    assert predicted.std() < 1e-9 and abs(simulated.mean() - predicted[0]) < sampling + 0.02 * predicted[0]
    assert torch.isfinite(predicted).all() and predicted[0] > 5


def test_synapses_that_learn(blocks: list[str]):
    names = {"rv": rv}
    assert "100_000.0" in blocks[2]
    exec(blocks[2].replace("100_000.0", "20_000.0"), names)
    weights = names["recording"].weights[names["learnt"]]
    assert weights.shape == (1000,) and 0.02 < weights.mean() < 0.12 and weights.min() >= 0


def test_training(blocks: list[str]):
    names = {"rv": rv}
    torch.manual_seed(0)
    exec(blocks[3].replace("epochs=15", "epochs=6"), names)
    assert names["log"][-1]["validation_accuracy"] > 0.9


def test_reading_neurons(blocks: list[str]):
    names: dict = {}
    exec(next(block for block in blocks if "rv.interpret" in block), names)
    assert not torch.equal(names["edited"], names["before"]) and names["record"].rows == 50


def test_commands_of_the_readme_exist():
    makefile = (Path(__file__).parents[1] / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"`?make (\w+)", README):
        assert f"\n{target}:" in makefile


def test_an_operator(blocks: list[str], capsys: pytest.CaptureFixture[str]):
    names: dict = {}
    text = next(block for block in blocks if "operators.convert" in block)
    exec(text.replace("epochs=20)", "epochs=2, progress=False)"), names)
    assert capsys.readouterr().out.strip() == "torch.Size([1, 1, 64, 48])"


def test_bytes_a_synapse_are_those_measured():
    """The README's figure is the stored benchmark's, to its last digit."""
    table = (Path(__file__).parents[1] / "benchmarks" / "results" / "brunel.md").read_text("utf-8")
    (measured,) = re.findall(r"peak memory above the bare import, bytes a synapse \| ([\d.]+)", table)
    (stated,) = re.findall(r"takes ([\d.]+) bytes a synapse", README)
    assert stated == f"{float(measured):.1f}"
