"""`fit` and BPTT: exact resume after SIGKILL, metrics, refusals that change nothing, learning."""

import copy
import json
import os
from pathlib import Path

import pytest
import torch

import ranvier as rv
from tests.learners.killed import EVENTS, learner, loader
from tests.processes import Child, module


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_run_killed_at_any_moment_ends_with_the_same_bits(tmp_path):
    child = Child(module, "tests.learners.killed", tmp_path)
    out, error = child.communicate(timeout=300)
    assert child.returncode == 0, error
    assert json.loads(out) == {"killed": len(EVENTS), "differing": []}


class Recorded:
    """A learner that keeps what it was given."""

    def __init__(self) -> None:
        self.batches, self.validated = [], []

    def step(self, batch):
        self.batches.append(batch)
        return {"loss": float(batch), "examples": 1 + int(batch)}

    def evaluate(self, batch):
        self.validated.append(batch)
        return {"loss": float(batch)}

    def describe(self):
        return {"learner": "Recorded"}

    def state_dict(self):
        return {"batches": list(self.batches)}

    def load_state_dict(self, state):
        self.batches = list(state["batches"])


def test_metrics_are_means_weighted_by_examples(tmp_path):
    subject = Recorded()
    history = rv.fit(subject, [0, 1, 2], 2, tmp_path, validation=[3, 5], progress=False)
    assert subject.batches == [0, 1, 2, 0, 1, 2] and subject.validated == [3, 5, 3, 5]
    assert history == 2 * [{"loss": pytest.approx((0 * 1 + 1 * 2 + 2 * 3) / 6), "validation_loss": 4.0}]
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in lines if "step" in line] == subject.batches
    assert [line["epoch"] for line in lines if "end" in line] == [0, 1]


def test_a_finished_run_may_be_prolonged_and_is_not_repeated(tmp_path):
    rv.fit(Recorded(), [0, 1, 2], 1, tmp_path, progress=False)
    subject = Recorded()
    assert len(rv.fit(subject, [0, 1, 2], 1, tmp_path, progress=False)) == 1 and subject.batches == [0, 1, 2]
    assert len(rv.fit(subject, [0, 1, 2], 2, tmp_path, progress=False)) == 2 and len(subject.batches) == 6


def test_a_longer_checkpoint_is_not_passed_over_in_silence(tmp_path):
    rv.fit(Recorded(), [0, 1], 3, tmp_path, progress=False)
    again = Recorded()
    with pytest.warns(UserWarning, match=r"holds 3 epochs, epochs = 1 asks for fewer; .*give epochs=4 for one more"):
        history = rv.fit(again, [0, 1], 1, tmp_path, progress=False)
    assert len(history) == 3 and again.batches == [0, 1] * 3


def test_progress_is_shown(capsys):
    rv.fit(Recorded(), [0, 1], 1, progress=True)
    shown = capsys.readouterr().out
    assert "epoch 1 of 1" in shown and "2/2" in shown


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def other_model() -> rv.learners.BPTT:
    model = rv.nn.Sequential(rv.nn.LIF(12, 17), rv.nn.LI(17, 4))
    return rv.learners.BPTT(model, rv.learners.membrane_cross_entropy, torch.optim.Adam(model.parameters(), 1e-2))


def other_rate() -> rv.learners.BPTT:
    subject = learner()
    subject.optimizer = torch.optim.Adam(subject.model.parameters(), 2e-2)
    return rv.learners.BPTT(subject.model, subject.loss, subject.optimizer, encode=subject.encode)


def other_reset() -> rv.learners.BPTT:
    subject = learner()
    subject.model[0].reset = "zero"
    return subject


@pytest.mark.parametrize("other", [other_model, other_rate, other_reset])
def test_a_foreign_checkpoint_is_refused_and_left_alone(tmp_path, other):
    rv.fit(learner(), loader(), 1, tmp_path, progress=False)
    before, subject = contents(tmp_path), other()
    weights = {k: v.clone() for k, v in subject.model.state_dict().items()}
    with pytest.raises(ValueError, match="of another learner"):
        rv.fit(subject, loader(), 2, tmp_path, progress=False)
    assert contents(tmp_path) == before
    assert all(torch.equal(v, weights[k]) for k, v in subject.model.state_dict().items())


def one_cycle(subject: rv.learners.BPTT, most: float) -> torch.optim.lr_scheduler.OneCycleLR:
    return torch.optim.lr_scheduler.OneCycleLR(subject.optimizer, most, 20)


def test_a_schedule_steps_after_every_step_and_another_is_refused(tmp_path):
    subject = learner()
    schedule = one_cycle(subject, 0.1)
    rates, step = [], subject.step

    def observed(batch):
        rates.append(subject.optimizer.param_groups[0]["lr"])
        return step(batch)

    subject.step = observed
    rv.fit(subject, loader(), 1, tmp_path, schedule=schedule, progress=False)
    again = learner()
    other = one_cycle(again, 0.1)
    expected = []
    for _ in range(5):
        expected.append(other.get_last_lr()[0])
        again.optimizer.step()
        other.step()
    assert rates == expected and len(set(rates)) == 5
    rv.fit(subject, loader(), 2, tmp_path, schedule=schedule, progress=False)  # the same objects go on
    before = contents(tmp_path)
    for most in (0.2, None):
        changed = learner()
        with pytest.raises(ValueError, match="of another learner: schedule"):
            rv.fit(changed, loader(), 3, tmp_path, schedule=most and one_cycle(changed, most), progress=False)
    assert contents(tmp_path) == before
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(subject.optimizer)
    with pytest.raises(ValueError, match="waits for a metric"):
        rv.fit(subject, loader(), 1, schedule=plateau, progress=False)


def test_input_that_is_not_finite_is_named_and_leaves_the_checkpoint_alone(tmp_path):
    subject = learner()
    subject.encode = lambda x: x.expand(8, *x.shape)
    rv.fit(subject, loader(), 1, tmp_path, progress=False)
    before = contents(tmp_path)
    weights = {k: v.clone() for k, v in subject.model.state_dict().items()}
    bad = torch.rand(8, 12)
    bad[3, 5] = float("nan")
    labels = torch.zeros(8, dtype=torch.int64)
    for batch, text in (((bad, labels), "nan in x at step 0, batch 3, feature 5"),
                        ((bad.nan_to_num(), labels + 4), "label 4 at position 0")):  # fmt: skip
        with pytest.raises(ValueError, match=text):
            rv.fit(subject, 5 * [batch], 2, tmp_path, progress=False)
    assert contents(tmp_path) == before
    assert all(torch.equal(v, weights[k]) for k, v in subject.model.state_dict().items())


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads memory from /proc")
@pytest.mark.long
def test_memory_does_not_grow_over_a_thousand_steps():
    def pages() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    subject, batches = learner(), list(loader())
    rv.fit(subject, 40 * batches, 1, progress=False)
    before = pages()
    rv.fit(subject, 200 * batches, 1, progress=False)
    assert (pages() - before) * os.sysconf("SC_PAGE_SIZE") < 4e6


def truncated(folder: Path) -> None:
    path = next(folder.glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-100])


def missing(folder: Path) -> None:
    next(folder.glob("*.safetensors")).unlink()


def not_json(folder: Path) -> None:
    (folder / "checkpoint.json").write_text("{")


def other_format(folder: Path) -> None:
    (folder / "checkpoint.json").write_text("[1]")


@pytest.mark.parametrize("damage", [truncated, missing, not_json, other_format])
def test_a_damaged_checkpoint_is_refused_and_left_alone(tmp_path, damage):
    rv.fit(learner(), loader(), 1, tmp_path, progress=False)
    damage(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(ValueError, match="cannot be read as a checkpoint"):
        rv.fit(learner(), loader(), 2, tmp_path, progress=False)
    assert contents(tmp_path) == before


def test_a_loader_that_cannot_begin_anew_or_is_empty_is_refused(tmp_path):
    with pytest.raises(ValueError, match="iterated once"):
        rv.fit(Recorded(), iter([1, 2]), 2, progress=False)
    with pytest.raises(ValueError, match="there is no batch"):
        rv.fit(Recorded(), [], 1, progress=False)
    with pytest.raises(ValueError, match="save_every"):
        rv.fit(Recorded(), [1], 1, save_every=0, progress=False)
    with pytest.raises(ValueError, match="expected a folder"):
        (tmp_path / "file").write_text("")
        rv.fit(Recorded(), [1], 1, tmp_path / "file", progress=False)


def test_generators_of_the_loader_are_resumed(tmp_path):
    """A loader with its own generator, and global numbers drawn by it, after a stop in the middle of an epoch."""

    def run(folder, stop):
        subject, data = Recorded(), torch.utils.data.TensorDataset(torch.arange(20))
        own = torch.utils.data.DataLoader(
            data, batch_size=1, shuffle=True, generator=torch.Generator().manual_seed(4),
            collate_fn=lambda items: 100 * int(items[0][0]) + int(torch.randint(100, ())),
        )  # fmt: skip
        step = subject.step

        def limited(batch):
            if len(subject.batches) == stop:
                raise KeyboardInterrupt
            return step(batch)

        subject.step = limited
        rv.fit(subject, own, 2, folder, save_every=3, progress=False)
        return subject.batches

    torch.manual_seed(0)
    expected = run(None, None)
    torch.manual_seed(0)
    for stop in (8, 25):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, stop)
    torch.manual_seed(99)
    assert run(tmp_path, None) == expected


def test_a_loss_that_is_not_finite_changes_nothing():
    subject = learner()
    subject.loss = lambda y, labels: y.sum() * float("nan")
    before = {k: v.clone() for k, v in subject.model.state_dict().items()}
    with pytest.raises(ValueError, match="loss is nan"):
        subject.step(next(iter(loader())))
    assert all(torch.equal(v, before[k]) for k, v in subject.model.state_dict().items())


def test_labels_out_of_range_are_named():
    subject = learner()
    with pytest.raises(ValueError, match="label 7 at position 1; expected 0 to 3"):
        subject.step((torch.rand(2, 12), torch.tensor([0, 7])))
    with pytest.raises(ValueError, match="whole numbers"):
        subject.step((torch.rand(2, 12), torch.tensor([0.0, 1.0])))
    with pytest.raises(ValueError, match=r"shape \(3,\); expected \(2,\)"):
        subject.step((torch.rand(2, 12), torch.tensor([0, 1, 2])))


def test_an_optimizer_of_another_model_is_refused():
    with pytest.raises(ValueError, match="not the model's"):
        rv.learners.BPTT(rv.nn.LIF(2, 2), torch.nn.MSELoss(), torch.optim.SGD(rv.nn.LIF(2, 2).parameters(), 0.1))


def test_bptt_step_is_the_optimizers_step_on_autograds_gradient():
    subject, plain = learner(), learner()
    plain.model[0].fused = plain.model[2].fused = False
    batch = next(iter(loader()))
    torch.manual_seed(7)
    subject.step(batch)
    torch.manual_seed(7)
    plain.model.train()
    y, _ = plain.model(plain.encode(batch[0]))
    loss = torch.stack([torch.nn.functional.cross_entropy(row, batch[1]) for row in y]).mean()
    loss.backward()
    plain.optimizer.step()
    for a, b in zip(subject.model.parameters(), plain.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_parameters_that_the_optimizer_has_not_count_in_no_norm():
    """Training the readout alone: clipped by the readout's gradient, whatever has gathered elsewhere."""
    torch.manual_seed(0)
    model = rv.nn.Sequential(rv.nn.LIF(12, 16), rv.nn.LI(16, 4))
    readout = copy.deepcopy(model[1])
    subject = rv.learners.BPTT(
        model, rv.learners.membrane_cross_entropy, torch.optim.SGD(model[1].parameters(), 0.5), clip=0.1
    )
    x, labels = torch.rand(8, 5, 12), torch.arange(5) % 4
    spikes = model[0](x)[0].detach()
    for _ in range(3):
        subject.step((x, labels))
        loss = rv.learners.membrane_cross_entropy(readout(spikes)[0], labels)
        gradients = torch.autograd.grad(loss, list(readout.parameters()))
        shrink = min(1.0, 0.1 / float(torch.cat([g.flatten() for g in gradients]).norm()))
        with torch.no_grad():
            for p, g in zip(readout.parameters(), gradients, strict=True):
                p -= 0.5 * shrink * g
    assert shrink < 1
    for a, b in zip(model[1].parameters(), readout.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_digits_are_learned():
    """scikit-learn's digits: beyond what a linear readout of the pixels' sum could do."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    x, labels = torch.tensor(pixels, dtype=torch.float32) / 16, torch.tensor(labels)
    torch.manual_seed(0)
    model = rv.nn.Sequential(rv.nn.LIF(64, 128), rv.nn.LI(128, 10))
    subject = rv.learners.BPTT(
        model, rv.learners.membrane_cross_entropy, torch.optim.Adam(model.parameters(), 5e-3),
        encode=lambda x: x.expand(10, *x.shape),
    )  # fmt: skip
    train = torch.utils.data.TensorDataset(x[:1400], labels[:1400])
    history = rv.fit(
        subject, torch.utils.data.DataLoader(train, batch_size=64, shuffle=True), 10,
        validation=[(x[1400:], labels[1400:])], progress=False,
    )  # fmt: skip
    assert history[-1]["validation_accuracy"] > 0.9 and history[-1]["loss"] < history[0]["loss"] / 3
