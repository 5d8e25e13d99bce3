"""One of two processes that train together; run by test_ranks.py.

python -m tests.learners.ranks FOLDER RANK COUNT STORE [KILL]: trains into FOLDER, killed (SIGKILL) before step KILL,
and writes FOLDER-RANK.safetensors, the model's parameters; prints the history or the error as JSON.
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import save_file

import ranvier as rv

SIZE = 48


def data() -> torch.utils.data.TensorDataset:
    x = torch.rand(SIZE, 12, generator=torch.Generator().manual_seed(1))
    return torch.utils.data.TensorDataset(x, x[:, :4].argmax(1))


def learner(parallel: bool) -> rv.learners.BPTT:
    torch.manual_seed(3)
    model: torch.nn.Module = rv.nn.Sequential(rv.nn.LIF(12, 16, learn=("beta",)), rv.nn.LI(16, 4))
    if parallel:
        model = torch.nn.parallel.DistributedDataParallel(model)
    return rv.learners.BPTT(
        model, rv.learners.membrane_cross_entropy, torch.optim.SGD(model.parameters(), 0.1, momentum=0.9),
        encode=lambda x: rv.learners.rate(x, 6),
    )  # fmt: skip


def main(folder: Path, rank: int, count: int, store: Path, kill: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=count)
    sampler = torch.utils.data.DistributedSampler(data(), count, rank, shuffle=True, seed=5)
    loader = torch.utils.data.DataLoader(data(), batch_size=4, sampler=sampler)
    trained = learner(parallel=True)
    step, steps, losses = type(trained).step, 0, []

    def counted(self, batch):
        nonlocal steps
        steps += 1
        if steps == kill:
            os.kill(os.getpid(), signal.SIGKILL)
        metrics = step(self, batch)
        losses.append(metrics["loss"])
        return metrics

    type(trained).step = counted
    torch.manual_seed(100 + rank)  # each rank encodes its own examples
    try:
        history = rv.fit(trained, loader, 3, folder, validation=loader, save_every=2, progress=False)
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}))
        return
    save_file(trained.model.module.state_dict(), f"{folder}-{rank}.safetensors")
    print(json.dumps({"history": history, "losses": losses}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]), int((*sys.argv, 0)[5]))
