"""Names of the package that the pages hold in code marks exist: `rv.nn.LIF`, `ranvier.engines.precision`,
`theory.evolve`, `codegen.compilation.compiled`."""

import importlib
import re
from pathlib import Path

import pytest

import ranvier as rv

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "ranvier"
WRITTEN = [page for page in (ROOT / "docs").rglob("*.md") if not {"_build", "gallery", "api"} & set(page.parts)]
PAGES = sorted([ROOT / "README.md", *WRITTEN])
FOLDERS = {path.stem for path in PACKAGE.iterdir() if path.is_dir() or path.suffix == ".py"} - {"__init__"}
#: parts that the recipes of extending.md add, and torch's own
OTHERS = {"rv.neurons.Perfect", "rv.synapses.Slow", "rules.Potentiation", "nn.Linear"}
#: `network.json` and the like are files
SUFFIXES = {"py", "md", "json", "jsonl", "npz", "npy", "csv", "nir", "html", "safetensors", "toml", "txt"}


def names(text: str) -> list[str]:
    """Dotted names of the package in the code marks of a page, blocks of code left out."""
    prose = re.sub(r"^(```+|:::+).*?^\1", "", text, flags=re.M | re.S)
    spans = re.findall(r"`([^`\n]+)`", prose)
    dotted = [m for span in spans for m in re.findall(r"(?<![\w./\"'])[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+(?![\w/*])", span)]
    ours = [n for n in dotted if n.split(".")[0] in FOLDERS | {"rv", "ranvier"} and n not in OTHERS]
    return [n for n in ours if n.split(".")[-1] not in SUFFIXES]


def resolve(name: str) -> None:
    """AttributeError or ImportError where there is no such name."""
    first, *parts = name.split(".")
    where, value = "ranvier", rv
    if first not in ("rv", "ranvier"):
        parts = [first, *parts]
    for part in parts:
        where += f".{part}"
        if not hasattr(value, part):
            importlib.import_module(where)
        value = getattr(value, part)


def missing(text: str) -> list[str]:
    wrong = []
    for name in dict.fromkeys(names(text)):
        try:
            resolve(name)
        except (AttributeError, ImportError) as error:
            wrong.append(f"{name}: {error}")
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_names_in_a_page_exist(page: Path):
    assert not missing(page.read_text("utf-8"))


def test_a_name_that_is_not_there_is_noticed():
    text = "`rv.nn.LIFF(3)`, `codegen.portable`, `rv.nn.LIF`, `engines/x.py`, `network.json`\n```\nrv.old()\n```\n"
    assert [line.split(":")[0] for line in missing(text)] == ["rv.nn.LIFF", "codegen.portable"]
