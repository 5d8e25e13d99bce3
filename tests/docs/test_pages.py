"""The documentation's pages are executed: their cells, and our side of the tables of migration."""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from docs._extensions import cells

import ranvier as rv

DOCS = cells.DOCS


@pytest.fixture(autouse=True)
def repeatable():
    torch.manual_seed(0)
    yield
    plt.close("all")


@pytest.mark.parametrize("page", cells.notebooks(), ids=lambda page: page.relative_to(DOCS).as_posix())
def test_the_cells_of_a_page_run(page: Path, call, capsys):
    """All but those tagged `long`, which `make docs` alone runs. `call` gives an empty folder and the command line."""
    cells.execute(page, lambda arguments: call(*arguments))
    assert "Traceback" not in capsys.readouterr().out


def test_a_cell_is_read_with_its_options(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text(
        "---\nfile_format: mystnb\n---\n```{code-cell} python\n---\ntags: [long]\n---\n1/0\n```\n"
        "```{code-cell} python\n:tags: [long]\n\n1/0\n```\n```{code-cell} python\n%%writefile x.txt\nwords\n```\n"
        "```{code-cell} python\nfrom pathlib import Path\nassert 'words' in Path('x.txt').read_text()\n"
        "!ranvier run 'a b'\n```\n"
    )
    assert [cell.long for cell in cells.cells(page)] == [True, True, False, False]
    arguments: list[list[str]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        cells.execute(page, arguments.append)
    assert arguments == [["run", "a b"]]


def test_links_lead_somewhere_in_the_source_tree_too():
    """What the site generates, the reference and the gallery, is linked by roles or said in words."""
    broken = [
        f"{page.relative_to(DOCS)}: {link}"
        for page in DOCS.rglob("*.md")
        if "_build" not in page.parts
        for link in re.findall(r"\]\(([^)\s#]+)", page.read_text("utf-8"))
        if not re.match(r"[a-z]+:", link) and not (page.parent / link).exists()
    ]
    assert broken == []


#: what the tables of the page take for granted
BEFORE = {"ReservoirPy": {"x": np.sin(np.arange(300)[:, None] / 5)}}
TABLES = re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", (DOCS / "migrating.md").read_text("utf-8"), re.S | re.M)


@pytest.mark.parametrize(("library", "text"), TABLES, ids=[name for name, _ in TABLES])
def test_our_side_of_a_table_runs(library: str, text: str):
    names = {"rv": rv, "torch": torch, "np": np} | BEFORE.get(library, {})
    rows = [line.rsplit(" | ", 1)[1] for line in text.splitlines() if line.startswith("|")][2:]
    assert len(rows) >= 3
    for row in rows:
        for code in re.findall(r"`([^`]+)`", row):
            if "=" in code or "(" in code or "." in code:
                exec(code, names)
