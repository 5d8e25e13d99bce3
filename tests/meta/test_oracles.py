"""An oracle never uses what it judges (`tests.laws.oracles`), and what is called like one is marked as one."""

import ast
import functools
import re
from pathlib import Path

import pytest

from tests.laws.oracles import borrowed

TESTS = Path(__file__).parents[1]
#: functions with such names re-derive a result: they are marked
NAMES = re.compile(r"(by_hand|written_out|by_enumeration|brute_force|by_definition|plainly)$")
#: modules that are oracles as a whole
MODULES = ("nn/plain.py", "engines/plain.py", "laws/interpreter.py")


@functools.cache
def trees() -> dict[str, ast.Module]:
    return {
        path.relative_to(TESTS).as_posix(): ast.parse(path.read_text("utf-8")) for path in sorted(TESTS.rglob("*.py"))
    }


def unmarked(tree: ast.Module) -> list[str]:
    return [
        f"{node.lineno}: {node.name}"
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and NAMES.match(node.name)
        and not any(isinstance(d, ast.Name) and d.id == "oracle" for d in node.decorator_list)
    ]  # fmt: skip


def test_oracles_use_nothing_of_what_they_judge():
    wrong = [f"tests/{name}:{what}" for name, tree in trees().items() for what in borrowed(tree)]
    assert not wrong, "\n".join(wrong)


def test_what_is_called_like_an_oracle_is_marked_as_one():
    wrong = [f"tests/{name}:{what}" for name, tree in trees().items() for what in unmarked(tree)]
    assert not wrong, "\n".join(wrong)
    for name in MODULES:
        assert (ast.get_docstring(trees()[name]) or "").startswith("Oracle"), name


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("import ranvier as rv\n@oracle\ndef f(x): return rv.nn.LIF(3)(x)", 1),
        ("from ranvier.theory import siegert\n@oracle\ndef f(x): return siegert(x)", 1),
        ("from ranvier.theory import siegert\ndef g(x): return siegert(x)\n@oracle\ndef f(x): return g(x)", 1),
        ("from ranvier.theory import siegert\n@oracle\ndef f(x): return x\ndef g(x): return siegert(x)", 0),
        ('"""Oracle of sums."""\nimport ranvier as rv\ndef f(x): return rv.predict(x)', 1),
        ("import ranvier as rv\n@oracle\ndef f(n): return isinstance(n, rv.SpikeTimes)", 0),
    ],
)
def test_a_planted_loan_is_noticed(code: str, count: int):
    assert len(list(borrowed(ast.parse(code)))) == count


def test_an_unmarked_oracle_is_noticed():
    assert len(unmarked(ast.parse("def by_hand(x): return x\n@oracle\ndef written_out(x): return x"))) == 1
