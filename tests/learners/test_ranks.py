"""`fit` by two processes over gloo: one writes, killed runs go on to the bit, errors reach both, nobody hangs."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ranvier.files.locks import folder_lock
from tests.learners.ranks import data, learner
from tests.processes import Child, module

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available() or not torch.distributed.is_gloo_available(), reason="torch has no gloo"
)


def train(folder: Path, kill: int = 0, count: int = 2) -> list[tuple[int, dict]]:
    """Exit status and answer of every rank."""
    store = folder.with_name(f"{folder.name}-store-{kill}-{count}")
    store.unlink(missing_ok=True)
    processes = [Child(module, "tests.learners.ranks", folder, rank, count, store, kill) for rank in range(count)]
    answers = []
    for process in processes:
        out, err = process.communicate()
        lines = out.strip().splitlines()
        answers.append((process.returncode, json.loads(lines[-1]) if lines else {"stderr": err}))
    return answers


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks") / "whole"
    return folder, train(folder)


def test_one_writes_and_all_agree(whole):
    folder, answers = whole
    assert [status for status, _ in answers] == [0, 0], answers
    assert answers[0][1]["history"] == answers[1][1]["history"] and len(answers[0][1]["history"]) == 3
    first, second = (load_file(f"{folder}-{rank}.safetensors") for rank in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "step" in line] == list(range(1, 19))  # 48 examples, 2 x 4 a step
    assert sorted(p.suffix for p in folder.iterdir()) == [".json", ".jsonl", ".safetensors"]


def test_metrics_are_means_over_all_examples(whole):
    """Every rank has six steps of four examples an epoch."""
    _, answers = whole
    losses = torch.tensor([answer["losses"] for _, answer in answers], dtype=torch.float64)
    means = losses.reshape(2, 3, 6).mean((0, 2)).tolist()
    assert [epoch["loss"] for epoch in answers[0][1]["history"]] == pytest.approx(means, rel=1e-12)
    assert not torch.allclose(losses[0], losses[1], rtol=1e-3)


def test_a_killed_run_goes_on_to_the_bit(whole, tmp_path):
    folder, answers = whole
    for kill in (4, 8):
        killed = train(tmp_path / f"killed{kill}", kill)
        assert {status for status, _ in killed} == {-9}
        again = train(tmp_path / f"killed{kill}")
        assert again[0][1]["history"] == answers[0][1]["history"]
        for rank in (0, 1):
            expected = load_file(f"{folder}-{rank}.safetensors")
            result = load_file(f"{tmp_path}/killed{kill}-{rank}.safetensors")
            assert all(torch.equal(result[name], expected[name]) for name in expected)


def test_a_folder_in_use_is_refused_on_every_rank(tmp_path):
    with folder_lock(tmp_path / "busy", "training"):
        answers = train(tmp_path / "busy")
    assert [status for status, _ in answers] == [0, 0]
    assert all("FolderInUseError" in answer["error"] and "busy is in use" in answer["error"] for _, answer in answers)


def test_a_checkpoint_of_another_number_of_ranks_is_refused(whole):
    folder, _ = whole
    (_, answer), = train(folder, count=1)
    assert "ranks" in answer["error"]


def test_two_ranks_take_the_step_of_the_whole_batch():
    """Without draws: the mean of two half batches' gradients is the batch's. DistributedDataParallel's own promise,
    kept by our layers' hand-written adjoints."""
    x, y = data().tensors
    halves = []
    for part in (slice(0, 8), slice(8, 16), slice(0, 16)):
        one = learner(parallel=False)
        loss = one.loss(one.model(x[None, part].expand(6, -1, -1).round())[0], y[part])
        halves.append(torch.autograd.grad(loss, list(one.model.parameters())))
    for a, b, c in zip(halves[0], halves[1], halves[2], strict=True):
        torch.testing.assert_close((a + b) / 2, c, rtol=1e-5, atol=1e-7)
