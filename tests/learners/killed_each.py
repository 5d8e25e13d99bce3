"""Every learner's run of `fit`, killed with SIGKILL and resumed; run by test_every_learner.py.

python -m tests.learners.killed_each FOLDER: prints JSON, the learners whose resumed runs differ from whole ones.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

import ranvier as rv
from tests.laws.learners import Case, same
from tests.learners.killed import child
from tests.learners.test_every_learner import CASES

KILLED_AT = 4  # the step of six in which the process dies, of which three are saved


def train(case: Case, folder: Path | None, *, die: bool = False) -> Any:
    dtype = case.dtypes[0]
    torch.manual_seed(1)
    learner, steps = case.make(dtype), 0
    step = learner.step

    def doomed(batch: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == KILLED_AT:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(batch)

    if die:
        learner.step = doomed
    torch.manual_seed(2)
    history = rv.fit(learner, case.batches(dtype), 2, folder, save_every=1, progress=False)
    return learner.state_dict(), history


def main(folder: Path) -> None:
    wrong = []
    one_each = {case.kind: (name, case) for name, case in CASES.items()}
    for number, (name, case) in enumerate(one_each.values()):
        run = folder / str(number)
        if child(lambda case=case, run=run: train(case, run, die=True)) != -signal.SIGKILL:
            wrong.append(f"{name}: not killed")
        elif not same(train(case, run), train(case, None)):
            wrong.append(name)
    print(json.dumps(wrong))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
