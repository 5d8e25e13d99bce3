"""HTML pages from templates: one environment for all, in which text is text and nothing is fetched or run."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ranvier._text import printable


def page_environment(package: str) -> Environment:
    """Of the folder `templates` of `package`; everything is escaped, and an unknown name is an error.

    Control characters are shown as escapes. `inline("name.css")` is a file of the folder as it stands, for <style> and
    <script>, `scripts("a.js", "b.js")` several of them as one, with names of its own, and
    `policy(style=..., script=..., images=...)` the content-security policy of a page that holds these.
    """
    environment = Environment(
        loader=PackageLoader(package, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    folder = Path(environment.loader._template_root)  # type: ignore[union-attr]
    environment.globals.update(
        inline=lambda name: _inline(folder, name),
        policy=policy,
        scripts=lambda *names: _together([_inline(folder, name) for name in names]),
    )
    return environment


def _together(files: list[Markup]) -> Markup:
    return Markup("(() => {\n") + Markup("\n").join(files) + Markup("})();\n")


def _inline(folder: Path, name: str) -> Markup:
    return Markup((folder / name).read_text("utf-8"))


def policy(style: str = "", script: str = "", images: str = "data:") -> Markup:
    """A content-security policy under which only this style and this script apply, by their hashes, and images come
    from `images`; nothing else is loaded, run or sent."""
    parts: Mapping[str, str] = {
        "default-src": "'none'",
        "style-src": _digest(style),
        "script-src": _digest(script),
        "img-src": images,
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return Markup("; ".join(f"{name} {value}" for name, value in parts.items()))


def significant(value: float, digits: int) -> str:
    """A number as people write it: this many significant figures, and a true minus sign."""
    return f"{value:.{digits}g}".replace("-", "−")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" if text else "'none'"


def _shown(value: Any) -> Any:
    """What a template writes: text without characters that control a terminal or a page; markup as it is."""
    return value if isinstance(value, Markup) or not isinstance(value, str) else printable(value, lines=True)
