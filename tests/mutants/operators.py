"""Small meaningful changes of numerical source, by its syntax tree, and of equations that stand in strings."""

from __future__ import annotations

import ast
import copy
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

#: an operator's name and its changed nodes; None deletes a statement
Change = tuple[str, ast.AST | str]

_OPPOSITE: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
_OTHER = {
    "round": "floor", "rint": "floor", "floor": "ceil", "ceil": "floor", "sin": "cos", "cos": "sin", "mean": "sum",
    "min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum", "argmin": "argmax", "argmax": "argmin",
}  # fmt: skip
_TRANSPARENT = {"sqrt", "abs", "detach", "log", "exp", "square", "conj", "tanh", "cumsum", "flip", "sign", "relu"}
#: calls whose first two arguments may change places and mean the same, or are no numbers
_COMMUTE = {
    "isinstance", "issubclass", "zip", "getattr", "hasattr", "setattr", "max", "min", "maximum", "minimum", "hypot",
    "product", "allclose", "equal", "gcd", "print", "partial", "replace", "property", "cast", "symbol", "compile",
    "join", "format", "logaddexp", "add", "multiply", "mul", "dot",
}  # fmt: skip
_COUNTERS = {"range", "arange", "roll", "diff", "shift", "linspace"}
#: functions that check, say or describe: their numbers reach no result
_WORDS = re.compile(r"_*(require|check|refuse|describe|warn|objection)|.*repr|__str__|.*_html_|_draw")
_EQUATION = re.compile(r"(?P<left>\s*\w+(?:/dt)?\s*=\s*)?(?P<right>[^=:]+?)(?P<unit>\s*:\s*[^:=]+)?$")


@dataclass(frozen=True)
class Mutant:
    """One change of one file: bytes `start` to `end` become `after`. `again` counts equal changes of a function.
    `tests`: those to try, in place of the nearest."""

    file: str
    line: int
    function: str
    operator: str
    before: str
    after: str
    start: int
    end: int
    again: int = 0
    tests: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Its name as long as the function says the same, whatever its line."""
        parts = (self.file, self.function, self.operator, self.before, self.after, self.again)
        return hashlib.sha1(repr(parts).encode()).hexdigest()[:10]

    def apply(self, text: str) -> str:
        raw = text.encode()
        return (raw[: self.start] + self.after.encode() + raw[self.end :]).decode()


def mutants(file: str, text: str, *, equations: bool = False) -> list[Mutant]:
    """All changes of a source file, in order; `equations`: also of equations in its strings."""
    raw, lines = text.encode(), [0]
    for line in raw.splitlines(keepends=True):
        lines.append(lines[-1] + len(line))
    counts: Counter[tuple[str, ...]] = Counter()
    out = []
    for node, function, parent in _numerical(ast.parse(text)):
        start, end = lines[node.lineno - 1] + node.col_offset, lines[node.end_lineno - 1] + node.end_col_offset
        before = raw[start:end].decode()
        changes = list(_changes(node, parent))
        if equations and isinstance(node, ast.Constant) and isinstance(node.value, str):
            changes += list(_of_equations(node.value))
        for operator, new in changes:
            after = new if isinstance(new, str) else ast.unparse(ast.fix_missing_locations(new))
            if isinstance(new, ast.BinOp | ast.BoolOp | ast.Compare | ast.UnaryOp | ast.IfExp):
                after = f"({after})"
            mutant = Mutant(file, node.lineno, function, operator, before, after, start, end)
            same = (function, operator, before, after)
            mutant = replace(mutant, again=counts[same])
            counts[same] += 1
            out.append(mutant)
    return out


def _numerical(tree: ast.Module) -> Iterator[tuple[ast.AST, str, ast.AST]]:
    """Every node that may bear on a number, the name of the function that holds it, and the node above it."""

    def walk(node: ast.AST, function: str, parent: ast.AST) -> Iterator[tuple[ast.AST, str, ast.AST]]:
        if _is_silent(node, parent):
            return
        inner = function
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            inner = f"{function}.{node.name}".lstrip(".")
        elif hasattr(node, "lineno") and not isinstance(node, ast.arg | ast.keyword | ast.alias):
            yield node, function, parent
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "decorator_list", "defaults", "kw_defaults", "type_params"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from walk(child, inner, node)

    yield from walk(tree, "", tree)


def _is_silent(node: ast.AST, parent: ast.AST) -> bool:
    """Whether nothing below changes a number: errors, texts, checks, types."""
    if isinstance(node, ast.Raise | ast.Assert | ast.JoinedStr | ast.Import | ast.ImportFrom):
        return True
    if isinstance(node, ast.FunctionDef) and _WORDS.match(node.name):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    if isinstance(node, ast.If):  # what guards an error only
        text = ast.unparse(node.test)
        return "TYPE_CHECKING" in text or (all(isinstance(s, ast.Raise) for s in node.body) and not node.orelse)
    if isinstance(node, ast.AnnAssign) and node.value is None:
        return True
    if isinstance(node, ast.Subscript) and isinstance(parent, ast.Module | ast.BinOp) and _is_type(node):
        return True
    return isinstance(node, ast.Call) and (_name(node).startswith(("warn", "require", "_require")) or _logs(node))


def _is_type(node: ast.Subscript) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("dict", "list", "tuple", "set", "Callable", "Mapping")


def _logs(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) in ("_log", "log", "warnings", "re")


def _name(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _is_text(node: ast.AST) -> bool:
    return any(isinstance(n, ast.JoinedStr) or (isinstance(n, ast.Constant) and isinstance(n.value, str | bytes))
               for n in ast.walk(node)) or isinstance(node, ast.List | ast.Tuple)  # fmt: skip


def _is_noise(node: ast.AST) -> bool:
    return any(isinstance(n, ast.Name) and n.id.startswith("xi") for n in ast.walk(node))


def _changed(node: ast.AST, **fields: object) -> ast.AST:
    new = copy.deepcopy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def _changes(node: ast.AST, parent: ast.AST) -> Iterator[Change]:
    for rule in _RULES:
        yield from rule(node, parent)


def _arithmetic(node: ast.AST, parent: ast.AST) -> Iterator[Change]:
    match node:
        case ast.BinOp(left, op, right) if not (_is_text(left) or _is_text(right)):
            if type(op) in _OPPOSITE:
                kind = "sign of a term" if isinstance(op, ast.Add | ast.Sub) else "product for quotient"
                if not (isinstance(op, ast.Add) and _is_noise(right)):  # white noise has no sign
                    yield kind, _changed(node, op=_OPPOSITE[type(op)]())
                yield "term or factor dropped", copy.deepcopy(left)
                if isinstance(op, ast.Add | ast.Mult):
                    yield "term or factor dropped", copy.deepcopy(right)
            elif isinstance(op, ast.Pow):
                yield "power dropped", copy.deepcopy(left)
            elif isinstance(op, ast.FloorDiv):
                yield "rounded up", ast.parse(f"-(-({ast.unparse(left)})//({ast.unparse(right)}))", mode="eval").body
        case ast.AugAssign(op=op, value=value) if type(op) in _OPPOSITE and not _is_text(value):
            yield "sign of a term", _changed(node, op=_OPPOSITE[type(op)]())
            yield "term or factor dropped", "pass"
        case ast.UnaryOp(op=ast.USub(), operand=operand) if not isinstance(operand, ast.Constant):
            yield "sign", copy.deepcopy(operand)


def _comparison(node: ast.AST, parent: ast.AST) -> Iterator[Change]:
    match node:
        case ast.Compare(ops=[op]) if type(op) in _OPPOSITE:
            yield "strictness", _changed(node, ops=[_OPPOSITE[type(op)]()])
        case ast.BoolOp(op=op):
            yield "and for or", _changed(node, op=_OPPOSITE[type(op)]())
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield "negation dropped", copy.deepcopy(operand)


def _constant(node: ast.AST, parent: ast.AST) -> Iterator[Change]:
    match node:
        case ast.Constant(value=float(x)):
            if x == 0 or abs(x) >= 1e-4:  # smaller ones guard a division
                yield "constant", ast.Constant(0.1 if x == 0 else float(f"{1.1 * x:.6g}"))
        case ast.Constant(value=int(k)) if not isinstance(k, bool):
            counts = isinstance(parent, ast.Call) and _name(parent) in _COUNTERS
            if isinstance(parent, ast.BinOp | ast.AugAssign | ast.Slice | ast.Compare) or counts:
                yield "off by one", ast.Constant(k + 1)


def _call(node: ast.AST, parent: ast.AST) -> Iterator[Change]:
    if isinstance(node, ast.Attribute) and node.attr in ("T", "mT") and not isinstance(parent, ast.Call):
        yield "transposition dropped", copy.deepcopy(node.value)
    if not isinstance(node, ast.Call):
        return
    name, args = _name(node), node.args
    method = isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) not in ("np", "torch", "math", "sp")
    if name in _TRANSPARENT and not node.keywords and len(args) == (0 if method else 1):
        yield "function dropped", copy.deepcopy(node.func.value if method else args[0])
    if name in _OTHER and isinstance(node.func, ast.Attribute):
        yield "another function", _changed(node, func=_changed(node.func, attr=_OTHER[name]))
    elif name in ("min", "max") and isinstance(node.func, ast.Name):
        yield "another function", _changed(node, func=ast.Name(_OTHER[name]))
    elif name == "round" and len(args) == 1:
        yield "rounded down", _changed(node, func=ast.Name("int"))
    plain = not any(isinstance(a, ast.Starred | ast.Constant) or _is_text(a) for a in args)
    if name == "where" and len(args) == 3:
        yield "arguments swapped", _changed(node, args=[args[0], args[2], args[1]])
    elif len(args) == 2 and plain and name not in _COMMUTE and not name[:1].isupper():
        yield "arguments swapped", _changed(node, args=args[::-1])


_RULES: tuple[Callable[[ast.AST, ast.AST], Iterator[Change]], ...] = (_arithmetic, _comparison, _constant, _call)


def _of_equations(text: str) -> Iterator[Change]:
    """Changes of a string's equations: "NAME = EXPRESSION : UNIT" a line, or an expression alone."""
    lines = text.split("\n")
    for k, line in enumerate(lines):
        parts = _EQUATION.match(line)
        if parts is None or not re.search(r"\*|\s[-+/<>]=?\s|^-|/tau", parts["right"]):
            continue
        try:
            tree = ast.parse(parts["right"].strip(), mode="eval").body
        except SyntaxError:
            continue
        for operator, right in _variants(tree):
            changed = f"{parts['left'] or ''}{right}{parts['unit'] or ''}"
            yield f"equation: {operator}", repr("\n".join([*lines[:k], changed, *lines[k + 1 :]]))


def _variants(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """The expression with one of its nodes changed."""
    nodes = [n for n in ast.walk(tree) if isinstance(n, ast.expr)]
    parents = {id(child): n for n in ast.walk(tree) for child in ast.iter_child_nodes(n)}
    for number, node in enumerate(nodes):
        for operator, new in _changes(node, parents.get(id(node), tree)):
            whole = copy.deepcopy(tree)
            target = [n for n in ast.walk(whole) if isinstance(n, ast.expr)][number]
            yield operator, ast.unparse(ast.fix_missing_locations(_Swap(target, new).visit(whole)))


class _Swap(ast.NodeTransformer):
    def __init__(self, target: ast.AST, new: ast.AST | str) -> None:
        self.target, self.new = target, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.target else self.generic_visit(node)
