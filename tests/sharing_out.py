"""Which worker runs what: whole files, since their tests share what is compiled and trained; the atlas by group.

What takes longest comes first, so that small files are left when one worker is done before the other.
"""

from __future__ import annotations

from collections import Counter

import pytest
from xdist.scheduler import LoadFileScheduling

CLAIMS = "tests/atlas/test_every_claim.py"


class ByFile(LoadFileScheduling):
    """xdist's `--dist loadfile`, but for the atlas's claims, and in the order of collection."""

    def __init__(self, config: pytest.Config, log=None) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return share(nodeid)


def share(nodeid: str) -> str:
    """What stays together: a file, or claims of one group of the atlas (ids are GROUP-NAME)."""
    file = nodeid.split("::", 1)[0]
    return nodeid.split("-", 1)[0] if file == CLAIMS else file


def longest_first(items: list[pytest.Item]) -> None:
    """The atlas, then files with tests marked slow (few, but long ones among them), then those of most tests."""
    tests = Counter(share(item.nodeid) for item in items)
    slow = {share(item.nodeid) for item in items if item.get_closest_marker("slow")}

    def place(item: pytest.Item) -> tuple[bool, bool, int, str]:
        name = share(item.nodeid)
        return not name.startswith(CLAIMS), name not in slow, -tests[name], name

    items.sort(key=place)
