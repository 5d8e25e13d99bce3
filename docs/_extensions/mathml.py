"""Equations as MathML, which browsers draw by themselves: nothing is fetched, and no LaTeX is needed."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

_WORD = re.compile(r"_\{([A-Za-z]{2,}(?: [A-Za-z]+)*)\}")
_UPRIGHT = re.compile(r"(?<![\\A-Za-z{])(noise|drive|threshold)(?![A-Za-z])")


def upright(tex: str) -> str:
    """Words in indices, and names of several letters, upright: V_{reset} is no product."""
    return _UPRIGHT.sub(r"\\mathrm{\1}", _WORD.sub(r"_{\\mathrm{\1}}", tex))


def display(tex: str) -> str:
    """An equation, or several aligned at &, as a block of MathML."""
    if (r"\\" in tex or "&" in tex) and r"\begin" not in tex:
        tex = rf"\begin{{aligned}}{tex}\end{{aligned}}"
    return tex2mathml(tex, as_block=True)


def _inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def _block(translator: Any, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="equation">{display(node.astext())}</div>')
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
