"""What a type checker makes of a user's script: mistakes are found, right use passes."""

import subprocess
import sys
from pathlib import Path

import pytest

import ranvier as rv

WRONG = """
import torch

import ranvier as rv

net = rv.Network(seed=1)
cells = net.add(rv.LIF(), 10, name="cells", drive=20.0)
recording = rv.simulate(net, "long")  # a number of ms
recording.ratez()  # misspelt
rv.predict(3)  # a Network
rv.simulat(net, 10.0)  # misspelt
rv.nn.LIFF(3, 4)  # misspelt
rv.nn.LIF("3", 4)  # a number of inputs
rv.recordings.read_session(3)  # a path
rv.recordings.read_session("worm.npz").ratez()  # misspelt
rv.interpret.mlps(rv.nn.LIF(3, 4), 3)  # one argument
rv.interpret.perplexity(rv.nn.LIF(3, 4), [], 3)  # two arguments
rv.operators.FNO("2", 3, (4, 4))  # a number of channels
rv.verify.Property.robust(torch.zeros(3), 0.1, label="a", classes=2)  # a number
rv.verify.verify(rv.nn.LIF(3, 4), "property")  # a Property
rv.hardware.quantise(rv.nn.LIF(3, 4), bits="8")  # a number
rv.energies.Descent("energy")  # an Energy
rv.brains.larva(gain="strong")  # a number
rv.bodies.Swimmer(links="six")  # a number
rv.report.compare(recording, 3)  # a Prediction
"""

RIGHT = """
other = rv.Network(seed=1)
more = other.add(rv.LIF(), 10, name="cells", drive=20.0, noise=2.0)
other.connect(more, more, weight=0.1, probability=0.2, synapse=rv.Exponential(tau=5.0))
result = rv.simulate(other, 100.0, seed=1)
prediction = rv.predict(other)
print(result.rates().mean() - prediction.rates().mean(), rv.compare(result, prediction))
"""


def errors(script: str, tmp_path) -> list[str]:
    path = tmp_path / "script.py"
    path.write_text(script)
    # what mypy knows of the package is kept between runs, and half of the first would go to torch, which is not judged
    cache = Path(__file__).parents[2] / ".mypy_cache" / "users"
    settings = tmp_path / "mypy.ini"
    settings.write_text("[mypy]\n[mypy-torch.*]\nfollow_imports = skip\n")
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(cache), "--config-file", str(settings), "--strict",
               "--ignore-missing-imports", "--follow-imports=silent", str(path)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    return [line for line in done.stdout.splitlines() if ": error:" in line]


@pytest.mark.slow
def test_a_users_mistakes_are_found_and_right_use_passes(tmp_path):
    """One run for both, as mypy reads the whole package."""
    lines = errors(WRONG + RIGHT, tmp_path)
    expected = [number for number, line in enumerate(WRONG.splitlines(), 1) if "#" in line]
    assert [int(line.split(":")[1]) for line in lines] == expected, "\n".join(lines)


def test_every_public_name_has_its_home():
    from ranvier import _HOMES, _MODULES

    names = [name for names in _HOMES.values() for name in names]
    assert sorted(rv.__all__) == sorted(["__version__", *names, *_MODULES])
