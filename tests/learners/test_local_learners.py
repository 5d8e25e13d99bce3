"""What all learners keep: exact resume through `fit`; and memory that does not grow with the number of steps."""

import itertools
import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import ranvier as rv


def net(**kw) -> rv.nn.Sequential:
    torch.manual_seed(4)
    return rv.nn.Sequential(rv.nn.LIF(12, 16, **kw), rv.nn.LI(16, 4))


def spikes(x):
    return rv.learners.rate(x, 8)


LOSS = rv.learners.membrane_cross_entropy
LEARNERS = {
    "truncated": lambda m, o: rv.learners.TruncatedBPTT(m, LOSS, o, every=3, back=6, encode=spikes),
    "tess": lambda m, o: rv.learners.TESS(m, o, encode=spikes),
    "eprop": lambda m, o: rv.learners.EProp(m, o, encode=spikes),
    "eprop_random": lambda m, o: rv.learners.EProp(m, o, encode=spikes, feedback="random"),
    "eprop_adaptive": lambda m, o: rv.learners.EProp(m, o, encode=spikes, feedback="adaptive"),
}


def build(name):
    model = net(recurrent=True, adaptation=(0.9, 0.2))
    return LEARNERS[name](model, torch.optim.Adam(model.parameters(), 1e-2))


def loader():
    x = torch.rand(24, 12, generator=torch.Generator().manual_seed(1))
    data = torch.utils.data.TensorDataset(x, x[:, :4].argmax(1))
    return torch.utils.data.DataLoader(data, batch_size=8, shuffle=True)


@pytest.mark.parametrize("name", LEARNERS)
def test_an_interrupted_run_ends_with_the_same_bits(tmp_path, name):
    torch.manual_seed(0)
    whole = build(name)
    history = rv.fit(whole, loader(), 3, validation=loader(), progress=False)
    torch.manual_seed(0)
    doomed = build(name)
    step, count = doomed.step, itertools.count()

    def limited(batch):
        if next(count) == 5:
            raise KeyboardInterrupt
        return step(batch)

    doomed.step = limited
    with pytest.raises(KeyboardInterrupt):
        rv.fit(doomed, loader(), 3, tmp_path, validation=loader(), save_every=2, progress=False)
    torch.manual_seed(50)
    again = build(name)
    assert rv.fit(again, loader(), 3, tmp_path, validation=loader(), save_every=2, progress=False) == history
    for a, b in zip(whole.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(a, b)
    other = rv.learners.BPTT(whole.model, LOSS, whole.optimizer)
    with pytest.raises(ValueError, match="of another learner"):
        rv.fit(other, loader(), 3, tmp_path, progress=False)


class Peak(TorchDispatchMode):
    """The most bytes alive at a time, of tensors that torch's operators returned within the block."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: dict[int, int] = {}
        self.now = self.most = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                key = storage._cdata
                if key not in self.alive:
                    self.alive[key] = storage.nbytes()
                    self.now += storage.nbytes()
                    weakref.finalize(storage, self.gone, key)
                    self.most = max(self.most, self.now)
        return out

    def gone(self, key: int) -> None:
        self.now -= self.alive.pop(key, 0)


def most(learn, steps: int) -> int:
    batch = itertools.repeat(torch.full((8, 12), 0.7), steps), torch.arange(8) % 4
    with Peak() as peak:
        learn(batch)
    return peak.most


@pytest.mark.long
def test_tess_takes_no_more_memory_for_a_thousand_steps_than_for_ten():
    model = net()
    tess = rv.learners.TESS(model, torch.optim.Adam(model.parameters(), 1e-3))
    most(tess.step, 10)  # Adam's own state
    ten, hundred, thousand = (most(tess.step, steps) for steps in (10, 100, 1000))
    assert 0 < ten == hundred == thousand
    held = tess.held_bytes
    assert 0 < held < ten
    plain = net()
    for module in plain:
        module.fused = False

    def bptt(batch):
        return LOSS(plain(torch.stack(list(batch[0])))[0], batch[1]).backward()

    assert most(bptt, 100) > 5 * most(bptt, 10)  # the measure sees what grows


def test_truncated_bptt_keeps_no_more_than_its_window():
    saved = []
    for steps in (24, 240):
        model = net(recurrent=True)
        learner = rv.learners.TruncatedBPTT(model, LOSS, torch.optim.SGD(model.parameters(), 0.1), every=4, back=8)
        with rv.nn.count_operations(model) as counts:
            learner.step((torch.rand(steps, 8, 12), torch.arange(8) % 4))
        saved.append(counts.activation_bytes)
    # views of the input are counted by its storage, which is all of x
    input_bytes = [24 * 8 * 12 * 4, 240 * 8 * 12 * 4]
    assert saved[1] - input_bytes[1] <= saved[0] - input_bytes[0] + 64
