"""Train in child processes that are killed with SIGKILL at a chosen moment and resumed; run by test_fit.py.

python -m tests.learners.killed FOLDER: prints JSON, how many runs were killed and which differed.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import torch

import ranvier as rv

EPOCHS, BATCHES = 2, 5
EVENTS = [*range(1, 51, 4), 46, 47, 48, 50]  # all there are is 50


def learner() -> rv.learners.BPTT:
    torch.manual_seed(3)
    model = rv.nn.Sequential(
        rv.nn.LIF(12, 16, recurrent=True, learn=("beta",)), torch.nn.Dropout(0.2), rv.nn.LI(16, 4)
    )
    return rv.learners.BPTT(
        model, rv.learners.membrane_cross_entropy, torch.optim.Adam(model.parameters(), 1e-2),
        encode=lambda x: rv.learners.rate(x, 8),
    )  # fmt: skip


def loader() -> torch.utils.data.DataLoader:
    x = torch.rand(BATCHES * 8, 12, generator=torch.Generator().manual_seed(1))
    data = torch.utils.data.TensorDataset(x, (x[:, :4].argmax(1)))
    return torch.utils.data.DataLoader(data, batch_size=8, shuffle=True)


def train(folder: Path | None) -> dict[str, torch.Tensor]:
    subject = learner()
    schedule = torch.optim.lr_scheduler.OneCycleLR(subject.optimizer, 2e-2, EPOCHS * BATCHES)
    rv.fit(subject, loader(), EPOCHS, folder, validation=loader(), schedule=schedule, save_every=2, progress=False)
    return subject.model.state_dict()


def kill_at(event: int) -> None:
    """SIGKILL before the event-th of: a step begins, a step ends, a file is about to be, or has been, replaced."""
    count = 0

    def happens() -> None:
        nonlocal count
        count += 1
        if count == event:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(function: Callable) -> Callable:
        def wrapped(*args, **kwargs):
            happens()
            answer = function(*args, **kwargs)
            happens()
            return answer

        return wrapped

    os.replace = around(os.replace)
    rv.learners.BPTT.step = around(rv.learners.BPTT.step)


def child(work: Callable[[], None]) -> int:
    """The exit status of `work` in a separate process; −9 if killed."""
    process = os.fork()
    if process == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def main(folder: Path) -> None:
    expected = train(None)

    def compare(run: Path) -> None:
        result = train(run)
        if not all(torch.equal(result[k], expected[k]) for k in expected):
            sys.exit(1)

    killed, differing = [], []
    for event in EVENTS:
        run = folder / f"run{event}"

        def doomed(run: Path = run, event: int = event) -> None:
            kill_at(event)
            train(run)

        killed.append(child(doomed) == -signal.SIGKILL)
        if child(lambda run=run: compare(run)) != 0:
            differing.append(event)
        steps = [line for line in map(json.loads, (run / "log.jsonl").read_text().splitlines()) if "step" in line]
        if [line["step"] for line in steps] != list(range(1, EPOCHS * BATCHES + 1)):
            differing.append(f"log of {event}")
        names = sorted(p.name for p in run.iterdir())
        if [n.split("-")[0] for n in names] != ["checkpoint", "checkpoint.json", "log.jsonl"]:
            differing.append(f"files of {event}: {', '.join(names)}")
    print(json.dumps({"killed": sum(killed), "differing": differing}))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
