"""What a type checker makes of a user's script: mistakes are found, right use passes."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import ranvier as rv
from ranvier import _HOMES, _MODULES

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "ranvier"

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
rv.energies.Descnt  # misspelt
rv.analysis.decodin  # misspelt
rv.interpret.mlpz  # misspelt
rv.analysis.spatial.nothing  # misspelt
rv.energies.sparse_coding.nothing  # misspelt
"""

RIGHT = """
other = rv.Network(seed=1)
more = other.add(rv.LIF(), 10, name="cells", drive=20.0, noise=2.0)
other.connect(more, more, weight=0.1, probability=0.2, synapse=rv.Exponential(tau=5.0))
result = rv.simulate(other, 100.0, seed=1)
prediction = rv.predict(other)
print(result.rates().mean() - prediction.rates().mean(), rv.compare(result, prediction))
"""


def public_names() -> list[str]:
    """Names in `__all__` of the package and its public folders, read as text."""
    names = []
    for folder in ("", *_MODULES):
        init = PACKAGE / folder / "__init__.py"
        listed = [n.value for n in ast.parse(init.read_text("utf-8")).body if _assigns(n, "__all__")]
        names += [f"rv.{folder}.{name}".replace("..", ".") for name in ast.literal_eval(listed[-1])]
    return names


def _assigns(node: ast.stmt, name: str) -> bool:
    return isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == name


def notes(script: str, tmp_path) -> list[str]:
    path = tmp_path / "script.py"
    path.write_text(script)
    # what mypy knows of the package is kept between runs, and half of the first would go to torch, which is not judged
    cache = ROOT / ".mypy_cache" / "users"
    settings = tmp_path / "mypy.ini"
    settings.write_text("[mypy]\n[mypy-torch.*]\nfollow_imports = skip\n")
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(cache), "--config-file", str(settings), "--strict",
               "--ignore-missing-imports", "--follow-imports=silent", str(path)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    return done.stdout.splitlines()


@pytest.mark.long
def test_a_users_mistakes_are_found_and_every_public_name_has_a_type(tmp_path):
    """One run for all, as mypy reads the whole package; right use passes."""
    names = public_names()
    begin = (WRONG + RIGHT).count("\n")
    output = notes(WRONG + RIGHT + "".join(f"reveal_type({name})\n" for name in names), tmp_path)
    revealed = {int(line.split(":")[1]) - begin - 1: line for line in output if "Revealed type is" in line}
    untyped = {names[k].rsplit(".")[-1] for k, line in revealed.items() if 'is "Any"' in line}
    # of torch mypy knows nothing here: what its decorators return is Any
    decorated = [re.findall(r"^@torch\..*\ndef (\w+)", p.read_text("utf-8"), re.M) for p in PACKAGE.rglob("*.py")]
    untyped -= {name for several in decorated for name in several}
    assert len(revealed) == len(names) > 500 and not untyped, untyped
    lines = [line for line in output if ": error:" in line]
    expected = [number for number, line in enumerate(WRONG.splitlines(), 1) if "#" in line]
    assert [int(line.split(":")[1]) for line in lines] == expected, "\n".join(lines)


def _complete(node: ast.stmt) -> bool:
    """Whether every argument of a function, or of a class's methods, and what it returns, has a type."""
    if isinstance(node, ast.ClassDef):
        return all(_complete(n) for n in node.body if isinstance(n, ast.FunctionDef))
    assert isinstance(node, ast.FunctionDef)
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return node.returns is not None and all(a.annotation or a.arg in ("self", "cls") for a in arguments)


def test_no_public_name_is_without_types_in_the_files_that_mypy_checks_less_strictly():
    """Numba's kernels have no Python types; what users call does."""
    public = {tuple(name.split(".")[1:]) for name in public_names()}
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mypy"]
    lenient = [o for o in settings["overrides"] if o.get("ignore_errors") or o.get("disallow_untyped_defs") is False]
    assert settings["disallow_untyped_defs"] and settings["disallow_any_generics"] and len(lenient) == 2
    for override in lenient:
        for module in override["module"]:
            tree = ast.parse((ROOT / "src").joinpath(*module.split(".")).with_suffix(".py").read_text("utf-8"))
            named = [n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
            names = {(module.split(".")[1], n.name) for n in named if override.get("ignore_errors") or not _complete(n)}
            # a kernel may share its name with what a user calls
            wrong = [n for f, n in names & public if getattr(getattr(rv, f), n).__module__ == module]
            assert not wrong, f"{module}: {wrong}"


def test_every_public_name_has_its_home():
    names = [name for names in _HOMES.values() for name in names]
    assert sorted(rv.__all__) == sorted(["__version__", *names, *_MODULES])
