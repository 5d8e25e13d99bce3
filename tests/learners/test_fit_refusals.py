"""What `fit` and the learners refuse, in whose folder they write, and what they leave alone there."""

import json
import shutil
from functools import partial
from pathlib import Path

import pytest
import torch
from torch.optim import lr_scheduler as schedules

import ranvier as rv
from ranvier.files.locks import FolderInUseError, folder_lock
from ranvier.learners import BPTT, PSPM, membrane_cross_entropy
from ranvier.learners.fitting._tree import pack, unpack
from tests.learners.killed import loader

X = torch.rand(8, 12, generator=torch.Generator().manual_seed(0))
LABELS = X[:, :4].argmax(1)
SGD = partial(torch.optim.SGD, lr=0.1)


def learner(optimizer=SGD, beta=0.9, rates=None) -> BPTT:
    torch.manual_seed(0)
    model = rv.nn.Sequential(rv.nn.LIF(12, 6, beta=beta), rv.nn.LI(6, 4))
    groups = model.parameters() if rates is None else [
        {"params": layer.parameters(), "lr": rate} for layer, rate in zip(model, rates, strict=True)
    ]  # fmt: skip
    return BPTT(model, membrane_cross_entropy, optimizer(groups), encode=lambda x: x.expand(5, *x.shape))


def fit(subject, folder, epochs=1, **options):
    return rv.fit(subject, loader(), epochs, folder, progress=False, **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        (learner, partial(learner, beta=0.5), r"constants\.0\.beta is 0\.9 there; expected 0\.5"),
        (partial(learner, rates=(0.1, 0.2)), partial(learner, rates=(0.1, 0.3)), r"groups\[1\]\.lr is 0\.2 there"),
        (partial(learner, rates=(0.1, 0.1)), learner, r"groups"),
        (learner, partial(learner, partial(torch.optim.Adam, lr=0.1)), "optimizer is 'SGD'"),
    ],
    ids=["constant", "rate of a group", "groups", "optimizer"],
)
def test_a_checkpoint_that_would_replace_what_was_asked_for_is_refused(tmp_path, first, second, text):
    fit(first(), tmp_path)
    before, subject = contents(tmp_path), second()
    weights = {k: v.clone() for k, v in subject.model.state_dict().items()}
    with pytest.raises(ValueError, match=text):
        fit(subject, tmp_path, 2)
    assert contents(tmp_path) == before
    assert all(torch.equal(v, weights[k]) for k, v in subject.model.state_dict().items())


def test_what_a_loss_and_an_encoder_were_given_is_told():
    subject = learner()
    loss = partial(rv.learners.rate_cross_entropy, scale=5.0)
    encode = partial(rv.learners.rate, steps=25, generator=torch.Generator())
    prediction = BPTT(subject.model, loss, subject.optimizer, encode=encode).describe()
    assert (prediction["loss"], prediction["encode"]) == ("rate_cross_entropy(scale=5.0)", "rate(steps=25)")


def test_the_refusal_tells_the_layer_that_differs(tmp_path):
    fit(learner(), tmp_path)
    subject = learner()
    subject.model[0].surrogate = rv.nn.surrogates.Triangle()
    with pytest.raises(ValueError, match=r"model is \"12, 6.*ArcTan.*expected \"12, 6.*Triangle") as caught:
        fit(subject, tmp_path, 2)
    assert type(caught.value) is ValueError


def test_pspm_tells_the_constants_of_its_layer():
    described = [
        PSPM(rv.nn.LIF(3, recurrent=True, beta=beta), step=0.1, signs=torch.ones(3)).describe() for beta in (0.9, 0.5)
    ]
    assert [d.pop("constants")["beta"] for d in described] == [0.9, 0.5] and described[0] == described[1]


def test_files_of_others_in_the_folder_stay(tmp_path):
    names = ["checkpoint-best.safetensors", "checkpoint-0123.safetensors", ".checkpoints/notes", ".checkpoint_notes",
             ".log.jsonl.orig"]  # fmt: skip
    (tmp_path / ".checkpoints").mkdir()
    for name in names:
        (tmp_path / name).write_text(name)
    left = tmp_path / ".checkpoint.json.a1b2c3d4", tmp_path / ("checkpoint-" + 16 * "0" + ".safetensors")
    for path in left:
        path.write_text("by a kill")
    fit(learner(), tmp_path)
    assert all((tmp_path / name).read_text() == name for name in names)
    assert not any(path.exists() for path in left)


@pytest.mark.parametrize(
    "text", ["hello\nworld\n", "hello", '{"a": 1}\n', "[1, 2]\n", "3\n", '{"step": "x", "epoch": 0}\n',
             '{"step": 1, "epo\n{"step": 2, "epoch": 0}\n'],
)  # fmt: skip
def test_a_log_that_is_none_is_refused_and_left_alone(tmp_path, text):
    (tmp_path / "log.jsonl").write_text(text)
    subject = learner()
    with pytest.raises(ValueError, match="expected the log of a run of fit"):
        fit(subject, tmp_path)
    assert contents(tmp_path) == {"log.jsonl": text.encode()}


@pytest.mark.parametrize("checkpointed", [True, False])
def test_the_log_of_another_run_is_refused_and_left_alone(tmp_path, checkpointed):
    one, two = tmp_path / "one", tmp_path / "two"
    fit(learner(), one, 2)
    if checkpointed:
        fit(learner(rates=(0.2, 0.2)), two, 2)
    two.mkdir(exist_ok=True)
    shutil.copy(one / "log.jsonl", two)
    before = contents(two)
    with pytest.raises(ValueError, match="from another run than the checkpoint"):
        fit(learner(rates=(0.2, 0.2)) if checkpointed else learner(), two, 3)
    assert contents(two) == before


def test_a_log_may_be_cut_short_or_gone(tmp_path):
    fit(learner(), tmp_path)
    log = tmp_path / "log.jsonl"
    whole = log.read_text()
    log.write_text(whole + '{"step": 6, "epo')
    fit(learner(), tmp_path)
    assert log.read_text() == whole
    log.unlink()
    fit(learner(), tmp_path, 2)
    assert [json.loads(line)["epoch"] for line in log.read_text().splitlines()] == 6 * [1]


@pytest.mark.parametrize(
    "schedule",
    [lambda o: schedules.CosineAnnealingWarmRestarts(o, 3), lambda o: schedules.MultiStepLR(o, [2, 7]),
     lambda o: schedules.CyclicLR(o, 0.01, 0.1, 3, cycle_momentum=False),
     lambda o: schedules.SequentialLR(o, [schedules.LinearLR(o), schedules.ExponentialLR(o, 0.9)], [4])],
    ids=["restarts", "steps", "cycles", "sequence"],
)  # fmt: skip
def test_a_run_goes_on_with_the_same_schedule_or_a_new_one_alike(tmp_path, schedule):
    subject = learner()
    moving = schedule(subject.optimizer)
    fit(subject, tmp_path, 1, schedule=moving)
    fit(subject, tmp_path, 2, schedule=moving)
    again = learner()
    fresh = schedule(again.optimizer)
    assert fit(again, tmp_path, 2, schedule=fresh)
    assert fresh.get_last_lr() == moving.get_last_lr()
    assert all(torch.equal(a, b) for a, b in zip(subject.model.parameters(), again.model.parameters(), strict=True))


def test_a_schedule_of_another_optimizer_and_what_is_none_are_refused():
    subject = learner()
    with pytest.raises(ValueError, match="schedule of another optimizer"):
        fit(subject, None, schedule=schedules.ExponentialLR(learner().optimizer, 0.9))
    with pytest.raises(TypeError, match="schedule is a str"):
        fit(subject, None, schedule="cosine")


def test_what_is_no_learner_loader_or_number_of_epochs_is_named():
    subject = learner()
    with pytest.raises(TypeError, match=r"learner is a Sequential; .* such as rv\.learners\.BPTT"):
        fit(subject.model, None)
    for epochs in (1.5, "2", None, -1):
        with pytest.raises(ValueError, match="expected whole numbers, epochs >= 0"):
            fit(subject, None, epochs)
    with pytest.raises(ValueError, match="validation that can be iterated once"):
        fit(subject, None, validation=iter([(X, LABELS)]))
    for batches, result in ((X, "a Tensor"), ([(X,)], "a tuple of 1"), ([{"x": X}], "a dict")):
        with pytest.raises(ValueError, match=f"{result} as a batch; expected a pair"):
            rv.fit(subject, batches, 1, progress=False)
    with pytest.raises(ValueError, match="LBFGS"):
        learner(torch.optim.LBFGS)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32])
def test_whole_numbers_of_any_size_are_labels(dtype):
    steps = [learner().step((X, labels)) for labels in (LABELS, LABELS.to(dtype))]
    assert steps[0] == steps[1]
    y = torch.eye(4)[LABELS].expand(5, -1, -1)
    for name in ("rate_cross_entropy", "rate_mse", "membrane_cross_entropy", "first_spike_cross_entropy", "accuracy",
                 "first_spike_accuracy"):  # fmt: skip
        measure = getattr(rv.learners, name)
        assert float(measure(y, LABELS.to(dtype))) == float(measure(y, LABELS))


def test_labels_that_are_no_tensor_and_outputs_without_steps_are_refused():
    with pytest.raises(TypeError, match="labels of a batch is a ndarray; expected a tensor"):
        learner().step((X, LABELS.numpy()))
    with pytest.raises(ValueError, match="none of them 0"):
        membrane_cross_entropy(torch.zeros(0, 2, 3), torch.tensor([0, 1]))


def test_states_whose_names_run_together_stay_apart():
    state = {"a.b": torch.ones(2), "a": {"b": torch.zeros(2)}, 1: torch.tensor(5), "1": torch.tensor(6)}
    tensors = {}
    request = unpack(json.loads(json.dumps(pack(state, tensors))), tensors)
    assert len(tensors) == 4 and list(request) == list(state)
    assert torch.equal(request["a.b"], state["a.b"]) and torch.equal(request["a"]["b"], state["a"]["b"])
    assert request[1] == 5 and request["1"] == 6


def test_a_finished_run_is_read_without_a_write(tmp_path, monkeypatch):
    history = fit(learner(), tmp_path)

    def refuse(*_):
        raise OSError("read-only")

    monkeypatch.setattr("os.replace", refuse)
    assert fit(learner(), tmp_path) == history


def test_two_runs_do_not_write_to_one_folder(tmp_path):
    """Threads of one process and other processes alike: the lock is the folder's."""
    with folder_lock(tmp_path, "training"), pytest.raises(FolderInUseError, match="is in use by another training"):
        fit(learner(), tmp_path)
    assert not any(tmp_path.iterdir())
    fit(learner(), tmp_path)


def test_a_folder_that_vanishes_is_named_at_the_next_write(tmp_path):
    folder, steps = tmp_path / "run", 0
    one = learner()
    step = one.step

    def delete_then_step(batch):
        nonlocal steps
        steps += 1
        if steps == 2:
            shutil.rmtree(folder)
        return step(batch)

    one.step = delete_then_step
    with pytest.raises(FileNotFoundError, match="run was deleted or moved while this training wrote to it"):
        fit(one, folder)
    assert not folder.exists()
