"""Layers as NIR: the same bits after a file, the spikes of snnTorch and SpikingJelly, those of the engine."""

import zipfile
from pathlib import Path

import nir
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from ganglion.nn import LI, LIF, Delay, Sequential, from_nir, read_nir, to_nir, write_nir

DATA = Path(__file__).parent / "data"
REFERENCE = load_file(DATA / "nir.safetensors")


def spikes(*shape, seed=0, p=0.4):
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < p).float()


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(3)


def lif(*sizes, **options):
    return LIF(*sizes, **{"reset": "zero", "threshold": 0.5, **options})


MODELS = {
    "plain": lambda: Sequential(
        lif(12, 9, beta=torch.rand(9)), nn.Linear(9, 7), lif(threshold=0.1 + torch.rand(7)), LI(7, 4)
    ),
    "currents": lambda: Sequential(
        lif(12, 9, alpha=torch.rand(9), beta=0.7, bias=False), LI(9, 3, alpha=0.4, beta=0.4, bias=False)
    ),
    "recurrent": lambda: Sequential(lif(12, 9, recurrent=True), lif(9, 5, recurrent=True, alpha=0.2, bias=False)),
    "slow recurrent": lambda: lif(12, 9, recurrent=True, recurrent_delay=3),
    "mixed recurrent": lambda: lif(12, 3, recurrent=True, recurrent_delay=torch.tensor([1, 4, 2])),
    "delays": lambda: Sequential(
        Delay(12, torch.arange(12)), lif(12, 9), Delay(9, 2), nn.Dropout(), Delay(9, 3.0, learn=True, longest=5),
        LI(9, 2),
    ),
    "never leaking": lambda: Sequential(lif(12, 9, beta=1.0, threshold=2.0), LI(9, 3, beta=1.0)),
    "alone": lambda: lif(12),
    "learned": lambda: lif(12, 9, beta=torch.rand(9), learn=("beta", "threshold")),
    "noted": lambda: Sequential(
        LIF(12, 9), LIF(9, 8, alpha=0.5, bias=False, reset="delayed"), LIF(8, 3, beta=1.0, reset="subtract")
    ),
}  # fmt: skip
IMAGES = {
    "images": lambda: Sequential(
        Sequential(nn.Conv2d(2, 3, 3, padding=1, stride=2), lif()), nn.AvgPool2d(2, 1), nn.Flatten(), lif(27, 4)
    ),
    "sums": lambda: Sequential(
        nn.Conv2d(2, 3, 3, padding="same", bias=False), lif(beta=torch.rand(3, 1, 1)),
        nn.AvgPool2d((2, 3), padding=1, divisor_override=1), nn.Flatten(2), nn.Conv1d(3, 2, 3, dilation=2), lif(),
        nn.Flatten(-2, -1), LI(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("decay", ["euler", "exponential"])
@pytest.mark.parametrize("name", [*MODELS, *IMAGES])
def test_a_model_comes_back_from_a_file_bit_for_bit(name, decay, tmp_path):
    images = name in IMAGES
    model = (MODELS | IMAGES)[name]().eval()
    x = spikes(30, 4, 2, 7, 8) if images else spikes(30, 4, 12)
    options = {"input_shape": (2, 7, 8)} if images else {"soft_reset": name == "noted"}
    if name == "alone":
        options["input_shape"] = 12
    path = write_nir(model, tmp_path / "model.nir", 0.5, decay=decay, **options)
    before = torch.get_rng_state()
    back = read_nir(path, 0.5, decay=decay)
    assert torch.equal(before, torch.get_rng_state())
    expected, _ = model(x)
    found, _ = back(x)
    assert expected.float().abs().sum() > 0 and torch.equal(found, expected)
    again, _ = from_nir(nir.read(path), 0.5, decay=decay)(x)
    assert torch.equal(again, expected)


def stored(name, tmp_path):
    with zipfile.ZipFile(DATA / "nir.zip") as packed:
        return Path(packed.extract(f"{name}.nir", tmp_path))


@pytest.mark.parametrize(
    ("name", "reset"),
    [
        ("snntorch_zero", None),
        ("snntorch_delayed", "delayed"),
        ("snntorch_subtract", "subtract"),
        ("snntorch_images", None),
        ("spikingjelly", None),
    ],
)
def test_what_others_wrote_spikes_as_theirs(name, reset, tmp_path):
    y, _ = read_nir(stored(name, tmp_path), reset=reset)(REFERENCE[f"{name}.x"].float())
    assert torch.equal(y, REFERENCE[f"{name}.y"].float())


@pytest.mark.parametrize(
    ("name", "reader"),
    [
        ("ours_plain", "snntorch"),
        ("ours_plain", "spikingjelly"),
        ("ours_recurrent", "spikingjelly"),
        ("ours_images", "snntorch"),
        ("ours_images", "spikingjelly"),
    ],
)
def test_what_others_read_spikes_as_ours(name, reader, tmp_path):
    """The stored file is what is written of its model today, and the reader's spikes are the model's."""
    graph = nir.read(stored(name, tmp_path))
    model = from_nir(graph)
    written = to_nir(model, input_shape=tuple(graph.nodes["input"].input_type["input"]))
    assert sorted(map(kind, written.nodes.values())) == sorted(map(kind, graph.nodes.values()))
    assert len(written.edges) == len(graph.edges)
    y, _ = model(REFERENCE[f"{name}.{reader}.x"].float())
    assert torch.equal(y, REFERENCE[f"{name}.{reader}.y"].float())


def kind(node):
    """Its type and values, comparable."""
    values = {k: np.asarray(v).round(12).tolist() for k, v in vars(node).items() if not isinstance(v, dict)}
    return f"{type(node).__name__} {sorted(values.items())}"
