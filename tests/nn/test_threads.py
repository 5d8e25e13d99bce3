"""Loops shared out over threads: the same bits however many, on torch's own team, in a pool, after a fork."""

import pytest
import torch

import ranvier as rv
from ranvier.codegen import threads
from ranvier.nn.spiking._recurrence import Delays, Recurrence
from tests.nn.layers import F64, drive
from tests.nn.test_fused import outcome

#: the share of neurons that spike in a step goes from few to most
CELLS = {
    "next step": {"recurrent_delay": 1},
    "later": {"recurrent_delay": 3},
    "each its own": {"recurrent_delay": torch.arange(70) % 5 + 1},
}


def fed_back(delays: dict, weight: float, dtype: torch.dtype = F64) -> rv.nn.LIF:
    torch.manual_seed(3)
    cell = rv.nn.LIF(70, recurrent=True, learn=("beta", "threshold"), dtype=dtype, **delays)
    with torch.no_grad():
        cell.recurrent.mul_(weight)
    return cell


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("weight, steps", [(1.0, 24), (8.0, 24), (8.0, 2)])
def test_what_is_fed_back_is_plain_torchs(name, weight, steps):
    """70 neurons and 7 rows: neither fills the tiles."""
    cell, x = fed_back(CELLS[name], weight), drive(steps, 7, 70, 2.0)
    (ours, our_grads), (plain, plain_grads) = outcome(cell, x, True), outcome(cell, x, False)
    assert torch.equal(ours[0], plain[0]) and 0.3 < float(ours[0].detach().mean()) < 0.8
    for a, b in zip([*ours, *our_grads], [*plain, *plain_grads], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9 * float(b.detach().abs().max()))


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_threads_share_out_rows_and_change_no_bit(name, dtype, monkeypatch):
    monkeypatch.setattr(threads, "_LEAST_WORK", 0)
    x, results = drive(24, 13, 70, 2.0).to(dtype), []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        try:
            results.append(outcome(fed_back(CELLS[name], 2.0, dtype), x, True))
        finally:
            torch.set_num_threads(1)
    (values, grads), *others = results
    for result, other_grads in others:
        assert all(torch.equal(a, b) for a, b in zip(result, values, strict=True))
        for a, b in zip(other_grads, grads, strict=True):
            # a weight's gradient is one of torch's products, whose sums go by threads
            assert torch.equal(a, b) or (a.shape == (70, 70) and torch.allclose(a, b, rtol=1e-4, atol=1e-4))


@pytest.mark.parametrize("pool", [False, True])
def test_every_share_is_done_once(pool, monkeypatch):
    if pool:
        monkeypatch.setattr(threads, "_team", lambda: None)
    x = drive(40, 32, 600, 0.5)
    cell = rv.nn.LIF(600, learn=("beta", "threshold"), dtype=F64)
    expected = outcome(cell, x, True)
    torch.set_num_threads(4)
    try:
        for _ in range(20):
            result = outcome(cell, x, True)
            for a, b in zip([*result[0], *result[1]], [*expected[0], *expected[1]], strict=True):
                assert torch.equal(a, b)
    finally:
        torch.set_num_threads(1)


def test_shares_cover_all():
    torch.set_num_threads(3)
    try:
        assert threads.shares(7, 1 << 20) == [(0, 2), (2, 4), (4, 7)]
        assert threads.shares(2, 1 << 20) == [(0, 1), (1, 2)]
        assert threads.shares(7, 10) == [(0, 7)]
    finally:
        torch.set_num_threads(1)


class Spikes(torch.utils.data.Dataset):
    """Items that a layer makes."""

    def __init__(self, cell: rv.nn.LIF, x: torch.Tensor) -> None:
        self.cell, self.x = cell, x

    def __len__(self) -> int:
        return 4

    def __getitem__(self, k: int) -> torch.Tensor:
        return self.cell(self.x)[0].detach()


def test_workers_of_a_data_loader_run_layers_after_their_parent_did():
    """They are forked from a process whose team has run, and have none of its threads."""
    cell, x = rv.nn.LIF(700, recurrent=True), torch.ones(60, 32, 700)
    torch.set_num_threads(2)
    try:
        expected, _ = cell(x)
        for result in torch.utils.data.DataLoader(Spikes(cell, x), num_workers=2, batch_size=None, timeout=60):
            assert torch.equal(result, expected.detach())
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("name", ["LIF", "fed back", "LI", "LTC", "CfC", "ELM"])
def test_memory_of_loops_is_the_cpus_whatever_torchs_default_device(name):
    """On another device its address would be nobody's."""
    cell = {
        "LIF": lambda: rv.nn.LIF(6, 300, learn=("beta",)), "fed back": lambda: rv.nn.LIF(6, 5, recurrent=True),
        "LI": lambda: rv.nn.LI(6, 5), "LTC": lambda: rv.nn.LTC(6, 8), "CfC": lambda: rv.nn.CfC(6, 8),
        "ELM": lambda: rv.nn.ELM(6, 4),
    }[name]()  # fmt: skip
    x = torch.rand(30, 9, 6).requires_grad_()
    expected, result = [x, *(p for p in cell.parameters() if p.requires_grad)], []
    for device in ("cpu", "meta"):
        torch.set_default_device(device)
        try:
            y, _ = cell(x)
            result.append([y, *torch.autograd.grad(y.square().sum(), expected)])
        finally:
            torch.set_default_device(None)
    assert all(torch.equal(a, b) for a, b in zip(*result, strict=True))


@pytest.mark.parametrize("name", CELLS)
def test_what_is_fed_back_step_by_step_as_on_a_gpu(name):
    """Every total, and the gradients, against sums over single synapses."""
    T, B, N = 9, 3, 70
    delays = Delays(tuple(torch.as_tensor(CELLS[name]["recurrent_delay"]).reshape(-1).tolist()))
    steps, generator = delays.each(N), torch.Generator().manual_seed(4)
    x, g, g_x = (torch.randn(T, B, N, generator=generator, dtype=F64) for _ in range(3))
    y, weight = (
        (torch.rand(T, B, N, generator=generator) < 0.3).to(F64),
        torch.randn(N, N, generator=generator, dtype=F64),
    )
    first = (torch.rand(delays.shape(B, N), generator=generator) < 0.3).to(F64)
    past = torch.cat([first[None] if delays.longest == 1 else first, y])
    arriving = torch.stack([past[delays.longest + torch.arange(T) - int(d), :, k] for k, d in enumerate(steps)], 2)
    fed = Recurrence(delays, first, weight)
    total = x.clone()
    assert sum(1 for _ in fed.forward(total, y)) == T
    torch.testing.assert_close(total, x + arriving @ weight.T, rtol=1e-12, atol=1e-12)
    result = torch.stack([row.clone() for row in fed.backward(g, g_x)][::-1])
    expected = g.clone()
    for k, d in enumerate(steps.tolist()):
        expected[: T - d, :, k] += (g_x @ weight)[d:, :, k]
    torch.testing.assert_close(result, expected, rtol=1e-12, atol=1e-12)
