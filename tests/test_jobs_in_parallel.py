"""Independent jobs, one at a time, on several cores, and on a cluster of dask's within this process."""

import pytest

from ranvier import _jobs, brains
from ranvier._jobs import each


def square(x: int) -> int:
    if x < 0:
        raise ValueError("below")
    return x * x


@pytest.fixture
def scheduler():
    distributed = pytest.importorskip("dask.distributed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None, host="127.0.0.1", protocol="tcp://"
    ) as cluster:
        yield cluster.scheduler_address


def test_the_same_results_one_by_one_and_side_by_side():
    items = [(k,) for k in range(5)]
    for jobs in (1, "1", 2, "2"):
        assert sorted(each(square, items, jobs, threads=True)) == [0, 1, 4, 9, 16]
    assert list(each(square, [], 2)) == []
    for jobs, message in ((0, "jobs is 0; expected 1"), ("0", "jobs is 0"), ("x", "jobs is 'x'; expected a number")):
        with pytest.raises(ValueError, match=message):
            list(each(square, items, jobs))


@pytest.mark.filterwarnings("ignore")  # dask's own
def test_a_dask_cluster_runs_them_and_a_sweep(scheduler, tmp_path, monkeypatch):
    assert sorted(each(square, [(k,) for k in range(4)], scheduler)) == [0, 1, 4, 9]
    with pytest.raises(ValueError, match="below"):
        list(each(square, [(-1,)], scheduler))
    brain = brains.fly_wiring(300, seed=1)
    driven = brain.sources[:3]
    options = {"duration": 50.0, "seed": 2}
    there = brains.dose_response(brain, driven, [100.0, 300.0], tmp_path / "a", jobs=scheduler, **options)
    here = brains.dose_response(brain, driven, [100.0, 300.0], tmp_path / "b", **options)
    assert here[300.0]["spikes"] > 0 and list(there) == list(here)
    assert all(there[r]["rates"] == here[r]["rates"] for r in here)
    again = brains.dose_response(brain, driven, [100.0, 300.0], tmp_path / "a", say=pytest.fail, **options)
    assert again == there
    monkeypatch.setattr(_jobs, "PATIENCE", 0.3)
    with pytest.raises(ConnectionError, match=r"no dask scheduler answers at tcp://127\.0\.0\.1:9 "):
        list(each(square, [(1,)], "tcp://127.0.0.1:9"))
