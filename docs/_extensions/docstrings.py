"""Docstrings as reStructuredText: sections, parameters, indented equations and examples keep their form."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_ITEMS = ("Parameters", "Attributes", "Returns", "Yields", "Raises", "Warns")
_SPAN = re.compile(r"``(.+?)``|`([^`]+)`")
_SPECIAL = re.compile(r"([\\*|`])|(?<=\w)_(?=\W|$)")
_ITEM = re.compile(r"(?P<names>\*{0,2}\w[\w.\[\]*, ]*?) ?: +(?P<text>\S.*)")
_BULLET = re.compile(r"(?:[-*•]|\d+\.) ")

Link = Callable[[str], str]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def inline(text: str, link: Link) -> str:
    """One paragraph: code marks become literals or links, and what would be markup is escaped."""
    parts, end = [], 0
    for span in _SPAN.finditer(text):
        parts += [_escaped(text[end : span.start()]), "\\ ", _code(span[1] or span[2], link), "\\ "]
        end = span.end()
    parts.append(_escaped(text[end:]))
    return re.sub(r"\\ (?= |$)|(?<= )\\ |^\\ ", "", "".join(parts))


def _escaped(text: str) -> str:
    return _SPECIAL.sub(lambda match: "\\" + match[0], text)


def _code(text: str, link: Link) -> str:
    text = " ".join(text.split())
    target = link(text) if re.fullmatch(r"[\w.]+", text) else ""
    return f":py:obj:`{text} <{target}>`" if target else f"``{text}``"


def _blocks(lines: list[str]) -> Iterator[list[str]]:
    """Runs of lines between blank ones; a block's own indentation is kept."""
    block: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            block.append(line.rstrip())
        elif block:
            yield block
            block = []


def _literal(block: list[str], language: str, indent: str) -> list[str]:
    least = min(map(_indent, block))
    return [f"{indent}.. code-block:: {language}", "", *(f"{indent}   {line[least:]}" for line in block), ""]


def _body(lines: list[str], link: Link, indent: str = "") -> list[str]:
    """Paragraphs, lists, indented blocks and examples outside of lists of parameters."""
    out: list[str] = []
    pending: list[str] = []  # an indented block goes on over blank lines

    def flush() -> None:
        if pending:
            out.extend(_literal(pending, "text", indent))
            pending.clear()

    for block in _blocks(lines):
        if block[0].lstrip().startswith(">>>"):
            flush()
            out += _literal(block, "pycon", indent)
        elif min(map(_indent, block)) >= 2:
            pending += [""] * bool(pending) + block
        else:
            flush()
            for paragraph in _paragraphs(block):
                out += [indent + inline(paragraph, link), ""]
    flush()
    return out


def _paragraphs(block: list[str]) -> Iterator[str]:
    """A block as one paragraph, or one for each item where it is a list."""
    texts: list[str] = []
    for line in block:
        if texts and not _BULLET.match(line):
            texts[-1] += " " + line.strip()
        else:
            texts.append(line.strip())
    for text in texts:
        marker = _BULLET.match(text)
        yield f"– {text[marker.end():]}" if marker and text[0] in "-*•" else text


def _items(lines: list[str], link: Link) -> list[str]:
    """Names with their descriptions as a list of definitions; anything else as text."""
    out: list[str] = []
    groups: list[list[str]] = []
    for line in lines:
        if line.strip() and not _indent(line):
            groups.append([line])
        elif groups:
            groups[-1].append(line)
    for head, *rest in groups:
        match = _ITEM.fullmatch(head)
        more = [line[min((_indent(x) for x in rest if x.strip()), default=0) :] for line in rest]
        if match:
            text = [match["text"], *more]
            out += [f"``{match['names']}``", *_body(text, link, "   ")]
        elif any(line.strip() for line in rest):
            out += [f"``{head.strip()}``", *_body(more, link, "   ")]
        else:
            out += [inline(head, link), ""]
    return out


def convert(lines: list[str], link: Link = lambda name: "", leave_out: tuple[str, ...] = ()) -> list[str]:
    """The lines of a docstring, without common indentation, as lines of reStructuredText; some sections may be left
    out."""
    parts: list[tuple[str, list[str]]] = [("", [])]
    for k, line in enumerate(lines):
        below = lines[k + 1].strip() if k + 1 < len(lines) else ""
        if line.strip() and len(below) > 2 and set(below) == {"-"}:
            parts.append((line.strip(), []))
        elif not (parts[-1][0] and not parts[-1][1] and set(line.strip()) == {"-"}):
            parts[-1][1].append(line)
    out: list[str] = []
    for name, body in parts:
        if name in leave_out:
            continue
        if name:
            out += [f".. rubric:: {name}", ""]
        out += _items(body, link) if name in _ITEMS else _body(body, link)
        out.append("")
    return out
