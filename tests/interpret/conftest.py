"""Small networks that every test of a session shares."""

from __future__ import annotations

import pytest
import torch
from torch import nn


@pytest.fixture
def convolutional() -> nn.Module:
    """A convolutional net with an activation in place, as torchvision's are, float64."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 5, 3), nn.ReLU(inplace=True), nn.Conv2d(5, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)
    ).double()


def language_model(kind: str = "llama", **changes):
    """A random transformer of two layers, in evaluation mode."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    torch.manual_seed(1)
    common = {"vocab_size": 30, "hidden_size": 12, "intermediate_size": 20, "num_hidden_layers": 2,
              "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 32} | changes  # fmt: skip
    match kind:
        case "llama":
            model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**common))
        case "gemma":
            model = transformers.GemmaForCausalLM(
                transformers.GemmaConfig(**common, head_dim=6, hidden_activation="gelu_pytorch_tanh")
            )
        case "gpt2":
            model = transformers.GPT2LMHeadModel(
                transformers.GPT2Config(
                    vocab_size=30, n_embd=12, n_inner=20, n_layer=2, n_head=2, n_positions=32, bos_token_id=0,
                    eos_token_id=0,
                )
            )
        case "opt":
            model = transformers.OPTForCausalLM(
                transformers.OPTConfig(
                    vocab_size=30, hidden_size=12, ffn_dim=20, num_hidden_layers=2, num_attention_heads=2,
                    word_embed_proj_dim=12, max_position_embeddings=32,
                )
            )
        case "neox":
            model = transformers.GPTNeoXForCausalLM(transformers.GPTNeoXConfig(**common))
        case "bert":
            model = transformers.BertModel(transformers.BertConfig(**common))
        case "vit":
            model = transformers.ViTModel(
                transformers.ViTConfig(
                    hidden_size=12, intermediate_size=20, num_hidden_layers=2, num_attention_heads=2, image_size=8,
                    patch_size=4, num_channels=1,
                )
            )
        case _:
            model = nn.TransformerEncoder(nn.TransformerEncoderLayer(12, 2, 20, batch_first=True), 2)
    return model.eval()


@pytest.fixture
def llama():
    return language_model("llama")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A tiny model and its tokenizer, saved in the cache as `tiny`."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    from tokenizers import Tokenizer, models, pre_tokenizers

    monkeypatch.setenv("RANVIER_MODELS", str(tmp_path))
    words = Tokenizer(models.WordLevel({f"w{k}": k for k in range(30)}, unk_token="w0"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words, pad_token="w0")
    language_model("llama").save_pretrained(tmp_path / "tiny")
    tokenizer.save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"
