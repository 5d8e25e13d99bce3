"""One network on several processes: the result of one process, bit for bit; errors and deaths reach all."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import ranvier as rv
from ranvier.engines.recording.segments import RunFolder
from ranvier.engines.recording.shares import Places, cut, whole
from tests.processes import Child, module

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available() or not torch.distributed.is_gloo_available(), reason="torch has no gloo"
)


def answers(folder: Path, kind: str, count: int, *more: object, links: str = "") -> list[dict]:
    """What every rank printed; {"status": ...} of one that was killed."""
    store = folder / f"store-{len(list(folder.glob('store-*')))}"
    env = {"RANVIER_RANKS": links}
    ranks = [Child(module, "tests.engines.shared_run", kind, r, count, store, *more, env=env) for r in range(count)]
    out = []
    for rank in ranks:
        text, error = rank.communicate(timeout=100)
        lines = text.strip().splitlines()
        out.append(json.loads(lines[-1]) if lines else {"status": rank.returncode, "stderr": error})
    return out


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Digests of one process."""
    folder = tmp_path_factory.mktemp("alone")
    return {kind: answers(folder, kind, 1)[0] for kind in ("noisy", "linear")}


@pytest.mark.parametrize(("kind", "count", "links"), [("noisy", 3, ""), ("noisy", 2, "gloo"), ("linear", 2, "")])
def test_any_number_of_ranks_gives_the_bits_of_one(alone, tmp_path, kind, count, links):
    one = alone[kind]
    assert one["spikes"] > 500 and one["method"]["method"] == ("stepping" if kind == "noisy" else "events")
    for other in answers(tmp_path, kind, count, links=links):
        assert other == one  # events, visits and ties of all ranks together, too


def test_a_rank_that_is_killed_ends_the_run_on_all_and_any_number_of_ranks_goes_on(alone, tmp_path):
    run = tmp_path / "run"
    first, killed, last = answers(tmp_path, "noisy", 3, run, 40.0, 3)
    assert killed["status"] == -9
    for left in (first, last):
        assert left["error"].startswith("ConnectionError") and "has ended or does not answer" in left["error"]
        assert left["seconds"] < 30
    assert RunFolder.read(run).completed_steps < 400
    assert rv.Recording.open(run).duration < 40.0
    again = answers(tmp_path, "noisy", 2, run, 40.0)
    whole_run = answers(tmp_path, "noisy", 1, run, 60.0)  # one process reads and goes on with what ranks wrote
    assert again[0] == again[1] and "digest" in again[0]
    assert whole_run[0]["digest"] == alone["noisy"]["digest"]
    names = [file.name for parts in RunFolder.read(run).segments for file in parts]
    assert any("of-00003" in n for n in names) and any("of-00002" in n for n in names)
    assert len(list(run.glob("state-*"))) == 1


def test_errors_of_one_rank_reach_all(tmp_path):
    for answer in answers(tmp_path, "seeds", 2):
        assert "ValueError: seed is 1 on rank 1 and 0 on rank 0; expected the same call" in answer["error"]
    errors = [answer["error"] for answer in answers(tmp_path, "explodes", 2)]
    assert all("FloatingPointError" in text and "is not finite at t = " in text for text in errors)


def test_what_ranks_cannot_run_is_refused():
    net = rv.Network()
    cells = net.add(rv.LIF(), 4)
    with pytest.raises(RuntimeError, match="ranks is True in a process without others; expected one that torchrun"):
        rv.simulate(net, 1.0, ranks=True)
    from ranvier.engines.compiled.lowering import obstacle_to_ranks

    assert obstacle_to_ranks(net) is None
    net.connect(cells, cells, weight=1.0, edges=([0], [1]), plasticity=rv.rules.STDP())
    assert "synapses that learn" in obstacle_to_ranks(net)


def test_shares_make_the_whole_again_and_refuse_what_does_not_fit():
    x, ring = np.arange(12.0), np.arange(24).reshape(2, 12)
    ranges = ([(0, 4), (8, 9)], [(4, 8), (9, 12)])
    shares = [cut({"x": x, "ring": ring}, {"x": Places(0, r), "ring": Places(1, r)}) for r in ranges]
    for share, end in zip(shares, ([1], [2]), strict=True):
        share["list"] = np.array(end)
    put = whole(shares)
    assert (put["x"] == x).all() and (put["ring"] == ring).all() and put["list"].tolist() == [1, 2]
    shares[1]["x"] = shares[1]["x"][:-1]
    with pytest.raises(ValueError, match="does not fit its places"):
        whole(shares)
    del shares[1]["x"]
    with pytest.raises(ValueError, match="some ranks have no x"):
        whole(shares)
