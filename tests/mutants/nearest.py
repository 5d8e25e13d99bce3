"""Which tests are nearest to a source file: those of its folder, of its name, and those that use what it offers."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

#: never run for a mutant: they judge text, files or other machines' results, or take minutes
ELSEWHERE = ("tests/meta", "tests/attack", "tests/browser", "tests/mutants", "tests/oracles/__main__")
_WORD = re.compile(r"[A-Za-z_]\w+")
_COMMON = {"test", "tests", "of", "and", "the", "network", "networks", "py", "every", "in", "single"}


class Nearest:
    """`of(file)` gives test files, nearest first. `root` is a checkout's."""

    def __init__(self, root: Path) -> None:
        self.root, self.package = root, root / "src" / "ranvier"
        self.words: dict[str, set[str]] = {}
        for path in sorted((root / "tests").rglob("*.py")):
            name = path.relative_to(root).as_posix()
            if not name.startswith(ELSEWHERE):
                self.words[name] = set(_WORD.findall(path.read_text("utf-8")))
        self.tests = [name for name in self.words if Path(name).name.startswith("test_")]
        helpers = {n.removesuffix(".py").split("/")[-1]: n for n in self.words if n not in self.tests}
        for name in self.tests:  # what a test's helpers use, it uses
            for helper in self.words[name] & helpers.keys():
                self.words[name] = self.words[name] | self.words[helpers[helper]]
        files = sorted(self.package.rglob("*.py"))
        self.sources = {p.relative_to(self.package).as_posix(): p.read_text("utf-8") for p in files}
        self.imports = {name: _imports(name, text) for name, text in self.sources.items()}

    def of(self, file: str) -> list[str]:
        """Test files by nearness to `file` (relative to the package); of equal ones, the smaller first."""
        folder, names = file.split("/")[0], offered(self.sources[file])
        module = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        users = [f for f, modules in self.imports.items() if module in modules and not f.startswith("atlas")]
        theirs = {name for user in users for name in offered(self.sources[user])}
        stems = _stems(file)
        scores: Mapping[str, float] = {
            test: 3.0 * (test.split("/")[1] == folder) + 3.0 * len(stems & _stems(test))
            + min(4, 2 * len(names & self.words[test])) + min(2, 0.5 * len(theirs & self.words[test]))
            for test in self.tests
        }  # fmt: skip
        size = {test: (self.root / test).stat().st_size for test in self.tests}
        order = sorted(self.tests, key=lambda test: (-scores[test], size[test]))
        return [test for test in order if scores[test] >= 2.0]


@cache
def offered(text: str) -> set[str]:
    """The public names that a source file defines."""
    nodes = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    return {n.name for n in nodes if not n.name.startswith("_") and len(n.name) > 3} - {"step", "forward", "init_state"}


def _stems(name: str) -> set[str]:
    pieces = re.split(r"[/_.]", name)
    return {p.rstrip("s") for p in pieces if p and p not in _COMMON}


def _imports(name: str, text: str) -> set[str]:
    """The modules of the package, as "folder.module", that a file imports."""
    out = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ranvier"):
            module = (node.module or "").removeprefix("ranvier").lstrip(".")
            out |= {module} | {f"{module}.{a.name}".lstrip(".") for a in node.names}
    return out
