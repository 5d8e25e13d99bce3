"""Recorded activations are the network's own, on disk as in memory, however a run was cut."""

import json

import pytest
import torch
from torch import nn

from ranvier.interpret import UnitLayer, activations, mlps, read_activations
from tests.interpret.conftest import language_model

IMAGES = torch.randn(20, 1, 8, 8, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def batches(size: int = 4):
    return list(IMAGES.split(size))


def texts(count: int = 6):
    """Padded right, of different lengths."""
    generator = torch.Generator().manual_seed(2)
    result = []
    for k in range(count):
        mask = torch.arange(5 + k)[None] < torch.tensor([[5 + k], [3 + k % 3]])
        result.append(
            {"input_ids": torch.randint(1, 30, mask.shape, generator=generator) * mask, "attention_mask": mask.long()}
        )
    return result


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_values_are_those_before_a_change_in_place(convolutional, dtype):
    record = activations(convolutional, batches(), ["0", "3", "5"], dtype=dtype)
    first = nn.functional.conv2d(IMAGES, convolutional[0].weight, convolutional[0].bias).detach()
    assert float(first.min()) < 0  # module 1 overwrites it by its positive part
    assert torch.equal(record["0"], first.to(dtype)) and record["0"].dtype == dtype
    assert torch.equal(record["5"], convolutional(IMAGES).detach().to(dtype))
    assert record["3"].shape == (20, 4, 4, 4) and record.rows == record.examples == 20 and not record.tokens


@pytest.mark.parametrize("size", [1, 7, 20])
def test_the_batch_size_does_not_matter(convolutional, size):
    whole = activations(convolutional, [IMAGES], ["3"], dtype=torch.float64)["3"]
    split = activations(convolutional, IMAGES.split(size), ["3"], dtype=torch.float64)["3"]
    torch.testing.assert_close(split, whole, atol=1e-13, rtol=1e-13)


def test_tokens_without_padding_are_rows(llama):
    block = mlps(llama)[1]
    record = activations(llama, texts(), [block.neurons, "model.norm"])
    assert record.tokens and record.examples == 12
    assert record.lengths.tolist() == [n for t in texts() for n in t["attention_mask"].sum(1).tolist()]
    row = 0
    for text in texts():
        for ids, mask in zip(text["input_ids"], text["attention_mask"], strict=True):
            alone = activations(llama, [ids[None, : int(mask.sum())]], block.neurons)[block.neurons.name][0]
            length = alone.shape[1]
            torch.testing.assert_close(record[block.neurons.name][row : row + length], alone.T, atol=1e-5, rtol=1e-5)
            row += length
    assert row == record.rows


@pytest.mark.parametrize("pool", ["mean", "max"])
def test_pooling(convolutional, llama, pool):
    images = activations(convolutional, batches(), "3", pool=pool, dtype=torch.float64)["3"]
    whole = activations(convolutional, batches(), "3", dtype=torch.float64)["3"].flatten(2)
    torch.testing.assert_close(images, whole.mean(2) if pool == "mean" else whole.amax(2))
    record = activations(llama, texts(), "model.norm")
    pooled = activations(llama, texts(), "model.norm", pool=pool)
    rows = record["model.norm"].split(record.lengths.tolist())
    expected = torch.stack([r.mean(0) if pool == "mean" else r.amax(0) for r in rows])
    torch.testing.assert_close(pooled["model.norm"], expected)
    assert not pooled.tokens and pooled.rows == 12


def test_on_disk_as_in_memory_and_in_segments(convolutional, tmp_path):
    memory = activations(convolutional, batches(), ["0", "3"], dtype=torch.float64)
    # a batch is 4 × (5 × 36 + 4 × 16) × 8 bytes; a segment of 1 MiB holds some hundred
    many = [b for _ in range(60) for b in batches()]
    disk = activations(convolutional, many, ["0", "3"], tmp_path / "a", dtype=torch.float64, segment=1)
    assert len(list((tmp_path / "a").glob("*.safetensors"))) == 3
    opened = read_activations(tmp_path / "a")
    for record in (disk, opened):
        assert record.rows == 1200
        for name in ("0", "3"):
            assert torch.equal(record[name], memory[name].repeat(60, *[1] * (memory[name].ndim - 1)))
            assert torch.equal(torch.cat(list(record.segments(name, slice(1, 3)))), record[name][:, 1:3])


class Killed(Exception):
    pass


def broken(data, after: int):
    for k, batch in enumerate(data):
        if k == after:
            raise Killed
        yield batch


@pytest.mark.parametrize("after", [0, 1, 130, 299])
def test_a_killed_run_goes_on_to_the_same_files(convolutional, tmp_path, after):
    many = [b + k for k in range(60) for b in batches()]
    activations(convolutional, many, ["3", "0"], tmp_path / "whole", segment=1)
    with pytest.raises(Killed):
        activations(convolutional, broken(many, after), ["3", "0"], tmp_path / "cut", segment=1)
    calls = []
    handle = convolutional[0].register_forward_hook(lambda *a: calls.append(1))
    activations(convolutional, many, ["3", "0"], tmp_path / "cut", segment=1)
    handle.remove()
    segment = 269  # batches: the first to reach 1 MiB of 4 × (5 × 36 + 4 × 16) float32
    assert len(calls) == 300 - after // segment * segment
    files = sorted(p.name for p in (tmp_path / "whole").glob("*.safetensors"))
    assert files == sorted(p.name for p in (tmp_path / "cut").glob("*.safetensors"))
    assert all((tmp_path / "cut" / n).read_bytes() == (tmp_path / "whole" / n).read_bytes() for n in files)
    again = activations(convolutional, many, ["3", "0"], tmp_path / "cut", segment=1)
    assert again.rows == 1200 and torch.equal(again["3"], read_activations(tmp_path / "whole")["3"])


def test_another_folders_data_model_or_settings_are_refused(convolutional, tmp_path):
    def record(data, **options):
        return activations(convolutional, data, "3", tmp_path, **options)

    record(batches())
    with pytest.raises(ValueError, match="batch 2 is not the one recorded"):
        record([*batches()[:2], batches()[2] + 1e-9, *batches()[3:]])
    with pytest.raises(ValueError, match="data end after 3 batches"):
        record(batches()[:3])
    with pytest.raises(ValueError, match="pool None; expected 'max'"):
        record(batches(), pool="max")
    with pytest.raises(ValueError, match="with model"), torch.no_grad():
        convolutional[5].bias[0] += 1e-9
        record(batches())


def test_a_longer_data_set_goes_on(convolutional, tmp_path):
    activations(convolutional, batches()[:2], "3", tmp_path)
    assert torch.equal(
        activations(convolutional, batches(), "3", tmp_path)["3"], activations(convolutional, batches(), "3")["3"]
    )


def test_modes_and_gradients_are_left_as_they_were(convolutional):
    convolutional.train()
    convolutional[3].eval()
    activations(convolutional, batches(), "3")
    assert [m.training for m in convolutional] == [True, True, True, False, True, True]
    assert all(not m._forward_hooks for m in convolutional)


def test_pytorchs_own_encoder_is_read_beside_its_fast_path():
    model = language_model("torch")
    x = torch.randn(2, 5, 12)
    layer = mlps(model)[0].neurons
    values = activations(model, [x], layer)[layer.name]
    assert values.shape == (2, 20, 5) and bool((values >= 0).all()) and float(values.max()) > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"which": "9"}, "layer is '9'; expected one of"),
        ({"which": []}, "layers are none"),
        ({"which": ["0", "0"]}, "layers name 0 twice"),
        ({"pool": "median"}, "pool is 'median'"),
        ({"dtype": torch.int8}, r"dtype is torch\.int8"),
        ({"segment": 0}, "segment is 0"),
        ({"data": []}, "data have no batch"),
        ({"data": [IMAGES[:0]]}, "batch 0 is empty"),
        ({"data": [IMAGES, IMAGES * float("nan")]}, "batch 1 has values that are not finite"),
        ({"data": ["text"]}, "batch 0 is str; expected a tensor"),
        ({"data": [IMAGES, torch.randn(2, 1, 8, 8).double() * 1e6], "dtype": torch.float16}, "float16 cannot hold"),
    ],
)
def test_mistakes_are_named(convolutional, arguments, message):
    arguments = {"data": batches(), "which": "0"} | arguments
    with pytest.raises((ValueError, TypeError), match=message):
        activations(convolutional, **arguments)
    assert all(not m._forward_hooks for m in convolutional)


def test_broken_weights_and_activations_are_named(convolutional):
    class Divide(nn.Module):
        def forward(self, x):
            return x / (x[:, :, :1] - x[:, :, :1])

    with pytest.raises(ValueError, match="layer 1 gives a value that is not finite at unit 0 in row 0 of batch 0"):
        activations(nn.Sequential(nn.Identity(), Divide()), [IMAGES], "1")
    with torch.no_grad():
        convolutional[2].weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"weights 2\.weight have 1 values that are not finite"):
        activations(convolutional, batches(), "3")


def test_layers_that_run_twice_or_never_are_refused():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, x):
            return self.a(self.a(x))

    for name, times in (("a", 2), ("b", 0)):
        with pytest.raises(ValueError, match=f"layer {name} ran {times} times"):
            activations(Twice(), [torch.ones(1, 2)], name)


def test_another_models_tokens_are_refused(llama):
    with pytest.raises(ValueError, match=r"tokens from 3 to 31; expected 0 to 29.*tokenizer"):
        activations(llama, [{"input_ids": torch.tensor([[3, 31]])}], "model.norm")
    with pytest.raises(ValueError, match="a row without a token"):
        activations(llama, [{"input_ids": torch.ones(1, 2).long(), "attention_mask": torch.zeros(1, 2)}], "model.norm")


def test_padding_may_hold_anything(llama):
    """A fully masked row of attention is NaN in some models; padding is not looked at."""

    class Padded(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Identity()

        def forward(self, input_ids, attention_mask):
            return self.inner(torch.where(attention_mask.bool(), 1.0, torch.nan)[..., None])

    batch = {"input_ids": torch.ones(1, 3).long(), "attention_mask": torch.tensor([[1, 1, 0]])}
    assert activations(Padded(), [batch], "inner")["inner"].tolist() == [[1.0], [1.0]]


def test_broken_folders_are_named(convolutional, tmp_path):
    activations(convolutional, batches(), "3", tmp_path / "a")
    (tmp_path / "a" / "000000.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="is no whole segment"):
        _ = read_activations(tmp_path / "a")["3"]
    (tmp_path / "a" / "000000.safetensors").unlink()
    with pytest.raises(ValueError, match="is missing"):
        read_activations(tmp_path / "a")
    for text in ("[]", "{}", json.dumps({"kind": "activations", "settings": {}, "segments": []})):
        (tmp_path / "a" / "activations.json").write_text(text)
        with pytest.raises(ValueError, match="no recording of activations"):
            read_activations(tmp_path / "a")
    with pytest.raises(FileNotFoundError):
        read_activations(tmp_path / "none")


@pytest.mark.parametrize("wrong", [None, [], {}, "x", 1.5, -1, 10**400, [None], {"rows": None}], ids=repr)
@pytest.mark.parametrize("key", ["kind", "tokens", "settings", "segments", "layers", "rows", "examples", "batches"])
def test_every_value_of_the_index_is_checked_before_use(convolutional, tmp_path, key, wrong):
    activations(convolutional, batches(), "3", tmp_path / "a")
    file = tmp_path / "a" / "activations.json"
    index = json.loads(file.read_text())
    owner = index if key in index else index["settings"] if key == "layers" else index["segments"][0]
    owner[key] = wrong
    file.write_text(json.dumps(index))
    try:
        read_activations(tmp_path / "a")
    except ValueError as error:
        place = key if key in ("kind", "tokens", "settings", "segments") else f".{key}"
        assert f"{place} is" in str(error) or f"{key}[0] is" in str(error) or f"{key}.layers is" in str(error), error
    else:
        assert (key, wrong) in [("tokens", None), ("segments", [])]


def test_an_image_layer_by_another_axis(convolutional):
    record = activations(convolutional, [IMAGES], UnitLayer("columns", convolutional[0], axis=-1), dtype=torch.float64)
    whole = activations(convolutional, [IMAGES], "0", dtype=torch.float64)["0"]
    assert torch.equal(record["columns"], whole.movedim(-1, 1))
    with pytest.raises(ValueError, match=r"expected \(batch, \.\.\., units\)"):
        activations(convolutional, [IMAGES], UnitLayer("batch", convolutional[0], axis=0))


def test_an_index_without_segments_says_so(tmp_path):
    activations(nn.Sequential(nn.Linear(3, 2)), [torch.ones(2, 3)], "0", tmp_path / "a")
    index = tmp_path / "a" / "activations.json"
    stored = json.loads(index.read_text())
    index.write_text(json.dumps({k: v for k, v in stored.items() if k != "tokens"} | {"segments": []}))
    with pytest.raises(ValueError, match="a holds nothing yet; expected one segment"):
        read_activations(tmp_path / "a")["0"]
