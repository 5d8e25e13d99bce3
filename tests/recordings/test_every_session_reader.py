"""Every public reader of recordings has a case: what was written comes back, damaged bytes and other objects do not."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from ranvier import recordings
from ranvier.recordings import Session
from tests.laws.readers import foreign, mutations
from tests.recordings import test_session_readers as written


@dataclass(frozen=True)
class Case:
    """write(path) -> (argument, options) that the reader takes; objects: a reader of objects, not of files."""

    write: Callable[[Any], tuple[Any, dict[str, Any]]]
    objects: bool = False
    spikes: bool = False


CASES = {
    "read_session": Case(written.npz),
    "read_arrays": Case(written.npz),
    "read_nwb": Case(written.nwb),
    "read_table": Case(written.table),
    "from_pynapple": Case(lambda _: (written.group(), {}), objects=True, spikes=True),
    "from_neo": Case(lambda _: (written.neo_segment(), {}), objects=True, spikes=True),
}
every = pytest.mark.parametrize("name", CASES)


def test_every_reader_has_a_case():
    public = {n for n in recordings.__all__ if n.startswith(("read_", "from_"))}
    public -= {"read_challenge", "read_wiring"}  # no sessions: test_challenges, test_worm_tables
    assert not public - set(CASES), f"give a Case to: {', '.join(sorted(public - set(CASES)))}"


@every
def test_what_was_written_comes_back(name, tmp_path):
    case = CASES[name]
    argument, options = case.write(tmp_path)
    session = getattr(recordings, name)(argument, **options)
    assert isinstance(session, Session)
    if case.spikes:
        trains = [written.SPIKES[0][written.SPIKES[1] == k] for k in range(3)]
        count = float(session.rates().sum() * session.duration / 1000)
        assert session.n_neurons == 3 and count == pytest.approx(sum(map(len, trains)))
    else:
        np.testing.assert_allclose(session.activity.times, written.TIME * 1000, rtol=1e-9)
        np.testing.assert_allclose(session.activity.read(), written.TRACES, rtol=1e-6, equal_nan=True)


@pytest.mark.parametrize("wrong", [None, 3, [1, 2], {"a": 1}, np.zeros(3), object()], ids=lambda x: type(x).__name__)
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.objects])
def test_other_objects_are_refused(name, wrong):
    with pytest.raises((ValueError, TypeError), match=rf"is a {type(wrong).__name__}; expected"):
        getattr(recordings, name)(wrong)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.objects])
def test_damaged_files_are_refused_by_name_or_read(name, tmp_path):
    """HDF5's own errors are those of its library, in a process that they cannot leave."""
    path, options = CASES[name].write(tmp_path)
    data = path.read_bytes()
    for k, content in enumerate([*mutations(data, 12, seed=1), b"", bytes(4096), b"cos\nsystem\n(S'true'\ntR."]):
        path.write_bytes(content)
        try:
            getattr(recordings, name)(path, **options).activity.read()
        except (ValueError, OSError) as error:
            assert not foreign(str(error)), (k, error)
