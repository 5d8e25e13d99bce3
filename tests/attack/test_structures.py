"""Every value of every JSON file that is read, replaced by each kind of value, and left out: refused in our words.

What is read all the same must be harmless; what is refused is refused by a ValueError or an OSError that names the file
and says what was found and what was expected, never in the words of whatever failed within.
"""

import re
import shutil

import pytest

from tests.attack.payloads import replaced
from tests.attack.spoil import joined, nodes, structure, without
from tests.attack.targets import copied, targets
from tests.attack.victim import readers
from tests.laws.readers import foreign

VALUES = (None, [], {}, "a", -1, 1.5, 10**400, float("nan"), True, [None], {"a": 1})
#: what a refusal holds: what would have been right
EXPECTED = re.compile(r"expected")
STRUCTURES = [
    "read_network/network.json", "read_network/own models", "Recording.open/manifest.json", "resume/manifest.json",
    "fit/checkpoint.json", "atlas/result.json", "ranvier run/settings.json", "read_edges/node-link",
]  # fmt: skip


@pytest.mark.parametrize("name", STRUCTURES)
def test_no_value_is_used_before_its_type_is_checked(tmp_path, name):
    target = targets()[name]
    read, original, work = readers()[target.reader], tmp_path / "original", tmp_path / "work"
    target.write(original)
    before, value, after = structure(target.file(original).read_bytes())
    victim, refused, total = copied(target, original, work), 0, 0
    places = list(nodes(value))
    for k, path in enumerate(places):
        changed = [without(value, path), *(replaced(value, path, new, False) for new in VALUES)]
        if target.changes or name.endswith("own models"):  # each costs a simulation, or parsing of all equations
            changed = changed[k % 3 :: 3]
        for new in changed:
            if target.changes:
                shutil.rmtree(work)
                copied(target, original, work)
            victim.write_bytes(joined(before, new, after))
            total += 1
            try:
                read(work)
            except (ValueError, OSError) as error:
                message = str(error)
                assert work.name in message and EXPECTED.search(message), (path, message)
                assert not foreign(message), (path, foreign(message), message)
                refused += 1
    assert total > 30 and refused > 0.15 * total, (refused, total)  # a manifest also says what nothing reads
