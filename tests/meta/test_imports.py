"""Imports run one way, and nothing in the package reads a pickle or asks for the network."""

import ast
import functools
import gc
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ranvier import _WHERE

PACKAGE = Path(__file__).parents[2] / "src" / "ranvier"

# docs/contracts.md: a part may import from itself and from earlier levels only, never from another part of its level.
# Every part of the package stands here: folders, and files directly below it.
LEVELS = [
    {"_lazy", "_progress", "_steps", "_text"},
    {"_jobs", "_names"},
    {"_checks", "_html", "_records"},
    {"_results", "files"},
    {"_ranks", "equations"},
    {"codegen"},
    {"analysis"},
    {"neurons", "synapses", "rules"},
    {"networks"},
    {"data"},
    {"engines", "theory"},
    {"nn", "energies", "recordings", "operators", "dynamics", "symmetries"},
    {"learners", "reservoirs", "interpret", "hardware", "bodies", "cables"},
    {"report", "brains", "plot", "verify", "worlds"},
    {"atlas"},
    {"cli"},
    {"__main__"},
]
LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names}
FORBIDDEN_MODULES = {
    "pickle", "_pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal",
    "urllib.request", "http.client", "requests", "httpx", "aiohttp", "ftplib", "socket", "pooch",
    "huggingface_hub",
}  # fmt: skip
#: files that may import one of them: sockets of the ranks of one machine, in a folder that nobody else can enter
PERMITTED = {("engines/ranks/links.py", "socket")}
FORBIDDEN_CALLS = {"torch.load", "joblib.load", "pandas.read_pickle", "pd.read_pickle", "torch.hub.load"}
LAST = {"load", "read_pickle", "urlopen"}


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@functools.cache
def parsed() -> dict[Path, ast.Module]:
    """A million nodes, none of them garbage: the search for it would pass over them again and again."""
    gc.disable()
    try:
        return {path: ast.parse(path.read_text("utf-8")) for path in sources()}
    finally:
        gc.enable()


@functools.cache  # a tree is read once for all checks
def imports(tree: ast.AST, path: Path) -> list[tuple[str, int]]:
    return list(walked(tree, path))


def walked(tree: ast.AST, path: Path) -> Iterator[tuple[str, int]]:
    """Absolute names of everything a file imports, but not under TYPE_CHECKING: by a statement, also inside its
    functions; as an attribute of an imported module of the package; by a name in a string, as importlib, `sys.modules`,
    tables of lazy names and generated source have it."""
    every = list(ast.walk(tree))
    typing_only = {
        id(node)
        for branch in every
        if isinstance(branch, ast.If) and last_name(branch.test) == "TYPE_CHECKING"
        for statement in branch.body
        for node in ast.walk(statement)
    }
    relevant = (ast.Import, ast.ImportFrom, ast.Attribute, ast.Call, ast.Constant)
    nodes = [node for node in every if isinstance(node, relevant) and id(node) not in typing_only]
    modules: dict[str, str] = {}  # local name -> module of the package
    for node in nodes:
        for name, local in bound(node, path):
            yield name, node.lineno
            if name == "ranvier" or name in MODULES:
                modules[local] = name
    within = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}  # `rv.engines` of `rv.engines._run`
    for node in nodes:
        if isinstance(node, ast.Attribute) and id(node) not in within:
            yield from attribute(node, modules)
        elif isinstance(node, ast.Call):
            yield from dynamic(node, path, modules)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            name = node.value.rstrip(".")
            if name in MODULES and name != "ranvier":
                yield name, node.lineno
            generated = re.findall(r"^[ \t]*((?:from|import) ranvier.*)", node.value, re.M) if "ranvier" in name else []
            for line in generated:
                for name, _ in bound(ast.parse(line).body[0], path):
                    yield name, node.lineno


def last_name(node: ast.expr) -> str:
    """`c` of `a.b.c`, and of `c`; nothing of other expressions."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def bound(node: ast.AST, path: Path) -> Iterator[tuple[str, str]]:
    """(absolute name, the local name that stands for it) of an import statement."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name, alias.asname or alias.name
            if alias.asname is None and alias.name.startswith("ranvier."):
                yield "ranvier", "ranvier"
    elif isinstance(node, ast.ImportFrom):
        package = ("ranvier", *path.relative_to(PACKAGE).parent.parts)
        base = package[: len(package) - node.level + 1] if node.level else ()
        module = ".".join((*base, *(node.module or "").split("."))).strip(".")
        for alias in node.names:
            yield f"{module}.{alias.name}", alias.asname or alias.name


def attribute(node: ast.Attribute, modules: dict[str, str]) -> Iterator[tuple[str, int]]:
    """`rv.engines._run`, where `rv` is a module of the package."""
    pieces: list[str] = []
    inner: ast.expr = node
    while isinstance(inner, ast.Attribute):
        pieces.insert(0, inner.attr)
        inner = inner.value
    if isinstance(inner, ast.Name) and inner.id in modules:
        name = [modules[inner.id]]
        for piece in pieces:  # what follows a class or a function is no name of a module
            name.append(piece)
            if ".".join(name) not in MODULES:
                break
        if not (len(name) == 2 and name[0] == "ranvier" and name[1].startswith("__")):  # rv.__version__
            yield ".".join(name), node.lineno


def dynamic(node: ast.Call, path: Path, modules: dict[str, str]) -> Iterator[tuple[str, int]]:
    """`import_module("...")`, `__import__("...")`, `getattr(module, "...")`."""
    called = last_name(node.func)
    texts = [a.value if isinstance(a, ast.Constant) and isinstance(a.value, str) else None for a in node.args]
    if called in ("import_module", "__import__") and texts and texts[0]:
        level = len(texts[0]) - len(texts[0].lstrip("."))
        package = ("ranvier", *path.relative_to(PACKAGE).parent.parts)
        name = ".".join((*package[: len(package) - level + 1], texts[0].lstrip("."))) if level else texts[0]
        if name not in MODULES or level:  # the others come by their strings
            yield name, node.lineno
    elif called == "getattr" and len(texts) > 1 and texts[1]:
        module = modules.get(ast.unparse(node.args[0]))
        if module is not None:
            yield f"{module}.{texts[1]}", node.lineno


def part(path: Path) -> str:
    """The folder or module directly below the package that a file belongs to."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def modules() -> set[str]:
    """Dotted names of all modules of the package, packages included."""
    names = (("ranvier", *path.relative_to(PACKAGE).with_suffix("").parts) for path in sources())
    return {".".join(n[:-1] if n[-1] == "__init__" else n) for n in names}


def wrong_way(tree: ast.AST, path: Path) -> list[str]:
    """Imports of a later part, or of another part of the same level, as "line: name"."""
    mine, package = part(path), ("ranvier", *path.relative_to(PACKAGE).parent.parts)
    complaints = []
    for name, line in imports(tree, path):
        pieces = name.split(".")
        if pieces[0] == "ranvier" and len(pieces) > 1:
            pieces = _WHERE.get(pieces[1], ".".join(pieces)).split(".")  # a name at the top has its home below
        other = pieces[1] if pieces[0] == "ranvier" and len(pieces) > 1 else ""
        if other not in LEVEL or other == mine or mine == "__init__":
            continue
        if mine not in LEVEL or LEVEL[other] >= LEVEL[mine]:
            complaints.append(f"{line}: {name} (from {'.'.join(package)})")
    return complaints


def foreign_private(tree: ast.AST, path: Path) -> list[str]:
    """Imports of a private file from outside the folder that holds it (and its rooms), as "line: name"."""
    package = ("ranvier", *path.relative_to(PACKAGE).parent.parts)
    complaints = []
    for name, line in imports(tree, path):
        pieces = tuple(name.split("."))
        if pieces[0] != "ranvier":
            continue
        for k, piece in enumerate(pieces):
            # a private name that is no module is the business of the module that defines it
            private = piece.startswith("_") and not piece.startswith("__") and ".".join(pieces[: k + 1]) in MODULES
            if private and package[:k] != pieces[:k]:
                complaints.append(f"{line}: {name}")
                break
            if not private and piece.startswith("_") and not piece.startswith("__") and k == len(pieces) - 1:
                complaints.append(f"{line}: {name}, a private name of another file")
    return complaints


def unsafe(tree: ast.AST, path: Path) -> list[str]:
    """Ways to read a pickle or to reach the network, as "line: what"."""
    result = []
    for name, line in imports(tree, path):
        here = path.relative_to(PACKAGE).as_posix() if path.is_relative_to(PACKAGE) else ""
        forbidden = FORBIDDEN_MODULES - {module for file, module in PERMITTED if file == here}
        if any(name == module or name.startswith(module + ".") for module in forbidden):
            result.append(f"{line}: import {name}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func) if last_name(node.func) in LAST else ""
            if called in FORBIDDEN_CALLS or called.endswith(".urlopen"):
                result.append(f"{node.lineno}: {called}")
            for keyword in node.keywords:
                if keyword.arg == "allow_pickle" and ast.unparse(keyword.value) != "False":
                    result.append(f"{node.lineno}: allow_pickle")
    return result


MODULES = modules()


def test_every_part_has_a_level() -> None:
    assert {part(path) for path in sources()} - {"__init__"} == set(LEVEL)


@pytest.mark.parametrize("check", [wrong_way, foreign_private, unsafe])
def test_package(check) -> None:
    complaints = [
        f"{path.relative_to(PACKAGE)}:{complaint}"
        for path, tree in parsed().items()
        for complaint in check(tree, path)
    ]
    assert parsed()
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("from ranvier.engines import simulate", 1),
        ("from ..engines.recording import Recording", 1),
        ("from .. import cli", 1),
        ("import ranvier.nn", 1),
        ("def f():\n    from ranvier.theory import predict", 1),
        ("from ranvier.equations import Equations", 0),
        ("from ._wiring import draw", 0),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import ranvier.engines", 0),
    ],
)
def test_a_planted_import_is_found(code: str, count: int) -> None:
    assert len(wrong_way(ast.parse(code), PACKAGE / "networks" / "planted.py")) == count


@pytest.mark.parametrize(
    ("folder", "code", "count"),
    [
        ("theory", "from ranvier.engines import simulate", 1),
        ("nn", "from ranvier.energies import Descent", 1),
        ("report", "from ranvier.atlas import run", 1),
        ("analysis", "from ranvier.engines import Recording", 1),
        ("theory", "from ranvier import simulate", 1),
        ("theory", "from ranvier import LIF", 0),
        ("nn", "from typing import TYPE_CHECKING\nif not TYPE_CHECKING:\n    import ranvier.energies", 1),
        ("unheard_of", "from ranvier.equations import Equations", 1),
        ("engines/compiled", "from ranvier.analysis import Spikes", 0),
        ("theory", "import ranvier as rv\ndef f(net):\n    return rv.simulate(net, 1.0)", 1),
        ("theory", "import ranvier as rv\nrv.engines.as_cell", 1),
        ("theory", "import ranvier as rv\ngetattr(rv, 'simulate')", 1),
        ("theory", "import ranvier as rv\nrv.LIF(), rv.networks.wiring", 0),
        ("theory", "from importlib import import_module\nimport_module('ranvier.engines')", 1),
        ("theory", "import importlib\nimportlib.import_module('..engines', __package__)", 1),
        ("theory", "import importlib\nimportlib.import_module(f'ranvier.engines.{name}')", 1),
        ("theory", "import sys\nsys.modules['ranvier.engines.torch.engine']", 1),
        ("theory", "text = 'from ranvier.engines import compiled as _c'", 1),
        ("nn", "_HOMES = {'ranvier.learners': ['fit']}", 1),
        ("nn", "_HOMES = {'ranvier.nn.cell': ['Cell']}", 0),
    ],
)
def test_a_planted_import_between_folders_is_found(folder: str, code: str, count: int) -> None:
    assert len(wrong_way(ast.parse(code), PACKAGE / folder / "planted.py")) == count


@pytest.mark.parametrize(
    ("folder", "code", "count"),
    [
        ("nn/spiking", "from ranvier.engines.compiled import _random", 1),
        ("nn/spiking", "from ranvier.engines.compiled._random import next_word", 1),
        ("engines/torch", "from ranvier.engines.compiled._random import next_word", 1),
        ("engines/torch", "from ranvier.engines._prepare import ENGINES", 0),
        ("engines/compiled", "from ranvier.engines.compiled._random import next_word", 0),
        ("nn", "from ranvier.codegen.arithmetic.simd import _secret", 1),
    ],
)
def test_a_planted_private_import_is_found(folder: str, code: str, count: int) -> None:
    assert len(foreign_private(ast.parse(code), PACKAGE / folder / "planted.py")) == count


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("import pickle", 1),
        ("from urllib.request import urlopen\nurlopen('x')", 1),
        ("import urllib.request as r\nr.urlopen('x')", 2),
        ("import torch\ntorch.load('x')", 1),
        ("import numpy as np\nnp.load('x', allow_pickle=True)", 1),
        ("import numpy as np\nnp.load('x', allow_pickle=False)\nnp.load('x')", 0),
        ("from urllib.parse import quote", 0),
        ("import importlib\nimportlib.import_module('pickle')", 1),
        ("__import__('socket')", 1),
    ],
)
def test_planted_pickles_and_downloads_are_found(code: str, count: int) -> None:
    assert len(unsafe(ast.parse(code), PACKAGE / "networks" / "planted.py")) == count


def test_files_of_tests_have_names_of_their_own():
    """pytest imports them by their bare names: of two of one name the second is not collected. Helpers may share one
    where they are imported as `tests.FOLDER.NAME`."""
    tests = Path(__file__).parents[1]
    names = Counter(path.name for path in tests.rglob("test_*.py"))
    assert not [name for name, count in names.items() if count > 1]
    helpers = Counter(path.stem for path in tests.rglob("[a-z]*.py"))
    shared = "|".join(name for name, count in helpers.items() if count > 1 and name != "conftest")
    bare = re.compile(rf"^(?:import|from) (?:{shared})\b", re.M)
    assert not [str(path) for path in tests.rglob("*.py") if bare.search(path.read_text("utf-8"))]
