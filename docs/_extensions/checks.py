"""What every built page must hold: links that lead somewhere, pictures with a text, nothing fetched from elsewhere.

`python -m docs._extensions.checks FOLDER` prints what is wrong and fails if anything is.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup, Tag

#: pages that Sphinx makes, of which links to themselves are empty
INNER = ("search.html", "genindex.html", "py-modindex.html")


@cache
def _page(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text("utf-8"), "html.parser")


@cache
def _places(path: Path) -> frozenset[str]:
    """The names to which a link into the page may lead."""
    return frozenset(str(tag["id"]) for tag in _page(path).find_all(id=True))


def _link(path: Path, href: str) -> str | None:
    """What is wrong with a link; None if nothing is, or if it leads elsewhere."""
    parts = urlsplit(href)
    if parts.scheme or parts.netloc:
        return None
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not target.is_file():
        return f"the link {href!r} leads to no file"
    if parts.fragment and target.suffix == ".html" and unquote(parts.fragment) not in _places(target):
        return f"the link {href!r} leads to no place of that page"
    return None


def _resources(page: BeautifulSoup) -> list[str]:
    """Addresses from which the page would fetch a script, a style, a font or a picture."""
    tags = [*page.find_all(["script", "img", "iframe", "source"], src=True), *page.find_all("link", href=True)]
    addresses = [str(tag.get("src") or tag.get("href")) for tag in tags]
    return [address for address in addresses if urlsplit(address).netloc]


def complaints(path: Path) -> list[str]:
    """What is wrong with one page."""
    page = _page(path)
    wrong = [f"it fetches {address}" for address in _resources(page)]
    for image in page.find_all("img"):
        text = str(image.get("alt") or "").strip()
        if len(text) < 10 or text == image.get("src"):
            wrong.append(f"the picture {image.get('src')} has the text {text!r}; expected what it shows")
    for anchor in page.find_all("a", href=True):
        if isinstance(anchor, Tag) and (problem := _link(path, str(anchor["href"]))):
            wrong.append(problem)
    return wrong


def main(folder: Path) -> int:
    pages = [p for p in sorted(folder.rglob("*.html")) if "_static" not in p.parts and p.name not in INNER]
    wrong = [f"{page.relative_to(folder)}: {problem}" for page in pages for problem in complaints(page.resolve())]
    print(*dict.fromkeys(wrong), f"{len(pages)} pages, {len(wrong)} problems", sep="\n")
    return int(bool(wrong) or not pages)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
