"""Identifiers are nouns for things and verbs for acts, in the field's words; docs name files that are
there."""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "ranvier"
#: participles that say how a value came about, not what it is, and words of an earlier dialect
FORBIDDEN = {
    "seen", "told", "found", "made", "given", "kept", "asked", "foretold", "foretells", "wanted", "third",
    "Settled", "Recalled", "Sampled", "Ladder", "Rest",
}  # fmt: skip

#: also parts of names, with underscores or in capitals: `_kept`, `mean_seen`, `GIVEN`
PARTS = FORBIDDEN - {"third", "wanted", "Settled", "Recalled", "Sampled", "Ladder", "Rest"}
#: conditional probabilities, and a name of NNMT's
PERMITTED = {"hidden_given", "visible_given", "_firing_rates_for_given_input"}

#: names in the docs that mean any file, or what is built or lies in the user's cache
EXAMPLES = {"_x.py", "ranvier/kernels", "docs/_build/html"}


def identifiers(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every name that is defined or used in a file, with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield name, node.lineno
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node.lineno
            case ast.keyword(arg=str(name)):
                yield name, node.value.lineno
            case ast.alias(name=name, asname=asname):
                yield asname or name.rsplit(".", 1)[-1], node.lineno


#: one of the words, or a part of a name: most files hold none, also not in their prose, and are not parsed
ANY = re.compile(rf"(?i)(?<![a-z])(?:{'|'.join(sorted(FORBIDDEN))})(?![a-z])")


def complaints(text: str) -> list[str]:
    if not ANY.search(text):
        return []
    allowed = {"given"} if re.search(r"^from hypothesis import .*\bgiven\b", text, re.M) else set()
    words, parts = FORBIDDEN - allowed, PARTS - allowed

    def old(name: str) -> bool:
        if name in words:
            return True
        return not name.startswith("test_") and name not in PERMITTED and bool(parts & set(name.lower().split("_")))

    return sorted({f"{line}: {name}" for name, line in identifiers(ast.parse(text)) if old(name)})


def test_no_word_of_the_old_dialect_is_an_identifier():
    wrong = [
        f"{path.relative_to(ROOT)}:{complaint}"
        for folder in ("src", "tests", "benchmarks", "examples")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for complaint in complaints(path.read_text("utf-8"))
    ]
    assert not wrong, f"{len(wrong)}: " + "\n".join(wrong)


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("found = 1", 1),
        ("def f(given): return x.kept", 2),
        ("f(told=1)", 1),
        ("class Rest: pass", 1),
        ("def _kept(mean_seen): return GIVEN", 3),
        ("def test_what_is_given(): pass", 0),
        ("from hypothesis import given\n@given(x)\ndef f(x): pass", 0),
        ("# found\nx = 'seen'  # told", 0),
        ("recording = {'found': 1}", 0),
    ],
)
def test_a_planted_word_is_noticed(code: str, count: int):
    assert len(complaints(code)) == count


#: what every text that is raised holds: "NAME is X; expected Y: do Z"
GRAMMAR = re.compile(r"[;\n] ?expected ")
#: in errors: "found X, expected Y" and "NAME must be Y, found X"
DIALECT = re.compile(r"^found |[,;] found |, expected | must (not )?be ")
#: Python's own words, and what never reaches a user
OTHERS = {"AttributeError", "FrozenInstanceError", "NotKeepable", "_Unknown"}
#: names of another error's text, which keeps to the grammar itself
INNER = {"error", "fault", "refused", "nearest"}


def raised(tree: ast.AST) -> Iterator[tuple[int, str, set[str]]]:
    """Of every error that is raised with a text: its line, the text, and the names that stand in it."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args):
            continue
        kind, text = ast.unparse(node.exc.func).rpartition(".")[2], node.exc.args[0]
        if kind in OTHERS or not kind.endswith(("Error", "Refusal")):
            continue
        if isinstance(text, ast.Constant | ast.JoinedStr | ast.BinOp):
            parts = [n for n in ast.walk(text) if isinstance(n, ast.Constant | ast.Name)]
            words = [str(n.value) for n in parts if isinstance(n, ast.Constant)]
            yield node.lineno, "".join(words), {n.id for n in parts if isinstance(n, ast.Name)} | set(words)


def ungrammatical(text: str) -> list[str]:
    return [
        f"{line}: {words}"
        for line, words, names in raised(ast.parse(text))
        if DIALECT.search(words) or not (GRAMMAR.search(words) or names & INNER)
    ]


def test_errors_keep_to_one_grammar():
    """"NAME is X; expected Y: do Z", not "found X, expected Y" or "NAME must be Y": in every text that is raised."""
    wrong = [
        f"{path.relative_to(PACKAGE)}:{complaint}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for complaint in ungrammatical(path.read_text("utf-8"))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("raise ValueError(f'dt is {dt}; expected a number > 0: halve it')", 0),
        ("raise ValueError(f'dt is {dt}; give a number > 0')", 1),
        ("raise ValueError('dt must be positive')", 1),
        ("raise TypeError(f'found {dt}; expected a number')", 1),
        ("raise ValueError(f'{path} cannot be read: {error}') from error", 0),
        ("raise ValueError(f'there is no column {a!r}; {nearest(a, names)}')", 0),
        ("raise AttributeError(f'module has no attribute {name!r}')", 0),
    ],
)
def test_a_planted_error_is_judged(code: str, count: int):
    assert len(ungrammatical(code)) == count


#: public pairs that their folders tell apart, and why they share a name
TWINS = {
    "Hopfield": "the network as an energy, and the layer under its authors' name",
    "LIF": "the neuron for a network, rv.LIF, and the layer made from it, rv.nn.LIF",
}


def test_a_class_name_is_used_once():
    places: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        where = path.relative_to(PACKAGE)
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(f"{where}:{node.lineno}")
    again = {name: where for name, where in places.items() if len(where) > 1}
    assert set(again) <= set(TWINS), again
    assert set(again) == set(TWINS), "a pair in TWINS is none any longer"


PAGES = ["README.md", *(f"docs/{name}.md" for name in ("architecture", "contracts", "extending", "glossary"))]


@pytest.mark.parametrize("page", PAGES)
def test_files_that_the_docs_name_exist(page: str):
    """Names such as `engines/protocol.py`, `protocol.py` or `engines/recording`, in code marks."""
    text = (ROOT / page).read_text("utf-8")
    files = {str(p.relative_to(PACKAGE)) for p in PACKAGE.rglob("*") if "__pycache__" not in p.parts}
    missing = []
    for name in re.findall(r"`((?:[\w.]+/)*_?[a-z_]+\.py|(?:[a-z_]+/)+[a-z_]+)`", text):
        inside = name.removeprefix("ranvier/")
        beside = (ROOT / name).exists() or any(f == inside or f.endswith(f"/{inside}") for f in files)
        if not beside and name not in EXAMPLES:
            missing.append(name)
    assert not missing


def test_every_folder_of_tests_is_a_package():
    """Two test files of one name in folders that are no packages stop the whole collection."""
    folders = {path.parent for path in Path(__file__).parents[1].rglob("*.py")}
    bare = [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()]
    assert not bare, f"no __init__.py in {bare}"

COUNTED = re.compile(r" (?:neuron|connection|edge|spike|synapse|pair|trial|text|population|projection|node|row)s\b")
SPOKEN = ("brains", "cli", "engines", "networks", "recordings", "report", "theory")


def uncounted(text: str) -> list[int]:
    """Lines on which a number stands before a plural, in what is not an error: "1 neurons"."""
    tree = ast.parse(text)
    raised = {id(inner) for node in ast.walk(tree) if isinstance(node, ast.Raise) for inner in ast.walk(node)}
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr) and id(node) not in raised:
            for value, after in pairwise(node.values):
                number = isinstance(value, ast.FormattedValue) and isinstance(after, ast.Constant)
                if number and isinstance(value.value, ast.Name) and value.value.id in ("neuron", "LEAST"):
                    continue  # the name of a model, a constant
                if number and COUNTED.match(str(after.value)):
                    lines.append(node.lineno)
    return lines


def test_one_thing_is_not_said_in_the_plural():
    """`ranvier._text.plural` counts."""
    assert uncounted('say(f"{n} neurons")') == [1] and uncounted('raise ValueError(f"{n} neurons")') == []
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for folder in SPOKEN
        for path in sorted((PACKAGE / folder).rglob("*.py"))
        for line in uncounted(path.read_text("utf-8"))
    ]
    assert wrong == []
