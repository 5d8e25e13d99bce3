"""Files of recordings, trained networks and wires that the standing attack spoils: name -> (reader, write, part,
suffix, share), as of `targets.Target`."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

Original = tuple[str, Callable[[Path], Any], str | None, str, float]
CHILD, SLOW = 0.002, 0.006  # shares of what needs a process each, and of what takes tens of milliseconds


def originals() -> dict[str, Original]:
    """All whose libraries are installed."""
    out: dict[str, Original] = {
        "read_session/npz": ("read_session", _npz, None, ".npz", 0.5),
        "read_session/spikes.npz": ("read_session", _spikes_npz, None, ".npz", 0.5),
        "read_session/npy": ("read_arrays", _npy, None, ".npy", 0.5),
        "read_session/mat": ("read_session", partial(_mat, False), None, ".mat", 0.5),
        "read_session/packed.mat": ("read_session", partial(_mat, True), None, ".mat", 0.5),
        "read_session/7.3.mat": ("read_session", _mat73, None, ".mat", CHILD),
        "read_session/spikes.csv": ("read_session", _spike_table, None, ".csv", 1.0),
        "read_session/wide.tsv": ("read_session", _wide_table, None, ".tsv", 1.0),
        "read_activations/activations.json": ("read_activations", _activations, "activations.json", "", 0.5),
        "read_activations/000000.safetensors": ("read_activations", _activations, "000000.safetensors", "", 0.3),
        "read_idx": ("read_idx", _idx, None, "", 1.0),
        "read_bs2": ("read_bs2", _bs2, None, ".bs2", 1.0),
        "read_evt/2": ("read_evt", partial(_evt, 2), None, ".raw", 0.5),
        "read_evt/3": ("read_evt", partial(_evt, 3), None, ".raw", 0.5),
        "read_aedat/2": ("read_aedat", partial(_aedat, 2), None, ".aedat", 0.5),
        "read_aedat/3": ("read_aedat", partial(_aedat, 3), None, ".aedat", 0.5),
        "read_shd": ("read_shd", _shd, None, ".h5", CHILD),
        "read_swc": ("read_swc", lambda path: path.write_text(SWC), None, ".swc", 1.0),
        "read_vnnlib": ("read_vnnlib", lambda path: path.write_text(PROPERTY), None, "", 1.5),
        "hardware/board": ("board", _board, None, "", 0.05),
        "hardware/link": ("link", _link, None, "", 0.1),
        "ranvier read/texts": ("texts", lambda path: path.write_text("a b\n\nc d e\n"), None, "", 2.0),
    }
    if find_spec("pynwb"):
        out["read_session/nwb"] = "read_session", _nwb, None, ".nwb", CHILD
    if find_spec("onnx"):
        out["verify.from_onnx"] = "from_onnx", write_onnx, None, ".onnx", 0.3
    if find_spec("transformers"):
        for part in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
            out[f"read_model/{part}"] = "read_model", _language_model, part, "", SLOW
    if find_spec("transformers") and find_spec("gguf"):
        out["store_model/gguf"] = "store_model", _gguf, None, ".gguf", SLOW
    return out


SWC = "# a soma and a fork\n1 1 0 0 0 5 -1\n2 3 5 0 0 1 1\n3 3 15 0 0 1 2\n4 3 20 5 0 .5 3\n5 3 20 -5 0 .5 3\n"
PROPERTY = """(declare-const X_0 Real)
(declare-const X_1 Real)
(declare-const Y_0 Real)
(assert (>= X_0 -0.5))
(assert (<= X_0 0.5))
(assert (>= X_1 0.0))
(assert (<= X_1 1.0))
(assert (or (and (>= Y_0 1.5)) (and (<= Y_0 -1.0))))
"""
_TRACES, _TIMES = np.arange(12.0).reshape(4, 3), np.arange(4) * 0.1


def _npz(path: Path) -> None:
    np.savez(path, traces=_TRACES, time_s=_TIMES, speed=_TIMES, names=np.array(["a", "b", "c"]))


def _spikes_npz(path: Path) -> None:
    np.savez_compressed(path, spike_times=np.array([0.1, 0.2, 0.4]), spike_neurons=np.array([0, 1, 0]))


def _npy(path: Path) -> None:
    np.save(path, _TRACES)


def _mat(packed: bool, path: Path) -> None:
    from scipy.io import savemat

    cells = np.array([[1, 2], "a", 3.0], object)
    arrays = {"traces": _TRACES, "time_s": _TIMES, "speed": _TIMES, "names": np.array(["a", "b", "c"]), "cells": cells}
    savemat(path, arrays, do_compression=packed)


def _mat73(path: Path) -> None:
    import h5py

    with h5py.File(path, "w", userblock_size=512) as file:
        file["traces"], file["time_s"] = _TRACES.T, _TIMES[:, None]
        file.create_dataset("speed", data=_TIMES[:, None], compression="gzip")
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file")


def _spike_table(path: Path) -> None:
    path.write_text("time_ms,neuron\n0.5,0\n1.5,1\n2.0,0\n7.25,2\n")


def _wide_table(path: Path) -> None:
    path.write_text("time_s\tAVAL\tx1\tAVAR\n0.1\t1.0\t2\t3e-1\n0.2\t\t-2\t3\n0.3\t1\tnan\t3\n")


def _nwb(path: Path) -> None:
    import pynwb

    file = pynwb.NWBFile("s", "id", datetime(2020, 1, 1, tzinfo=UTC))
    file.add_unit_column("unit_name", "n")
    for k in range(3):
        file.add_unit(spike_times=[0.1 * k, 0.5 + k], unit_name=f"u{k}")
    module = file.create_processing_module("behavior", "b")
    module.add(pynwb.TimeSeries(name="speed", data=_TIMES * 10, unit="mm/s", timestamps=_TIMES, conversion=0.1))
    file.add_trial_column("which", "w")
    file.add_trial(start_time=0.0, stop_time=0.2, which="b")
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(file)


def _activations(path: Path) -> None:
    import torch

    from ranvier.interpret import activations

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU())
    activations(model, [torch.ones(2, 3), torch.zeros(5, 3)], ["0", "1"], path)


def _idx(path: Path) -> None:
    path.write_bytes(b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (3, 4, 5)) + bytes(range(60)))


def _bs2(path: Path) -> None:
    path.write_bytes(b"".join(bytes((k % 34, k % 30, 128 * (k % 2), k, 7)) for k in range(40)))


def _evt(version: int, path: Path) -> None:
    head = f"% evt {version}.0\n% geometry 640x480\n% end\n".encode()
    if version == 2:
        words = [8 << 28 | 1, *(k % 2 << 28 | k << 22 | 9 * k << 11 | 7 * k for k in range(40))]
        path.write_bytes(head + np.array(words, "<u4").tobytes())
        return
    single = [2 << 12 | 7 * k for k in range(20)]
    words = [8 << 12 | 1, 6 << 12 | 5, 9, *single, 3 << 12 | 40, 4 << 12 | 99, 5 << 12 | 7]
    path.write_bytes(head + np.array(words, "<u2").tobytes())


def _aedat(version: int, path: Path) -> None:
    if version == 2:
        words = np.array([(k << 8 | k << 1, 10 * k) for k in range(40)], ">u4")
        path.write_bytes(b"#!AER-DAT2.0\r\n" + words.tobytes())
        return
    head = np.array([1, 8, 4, 0, 20, 20, 20], "<u4").tobytes()
    words = np.array([(k << 17 | k << 2 | 3, 10 * k) for k in range(20)], "<u4")
    path.write_bytes(b"#!AER-DAT3.1\r\n#!END-HEADER\r\n" + head + words.tobytes())


def _shd(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        for name, kind in (("times", "f4"), ("units", "i4")):
            data = file.create_dataset(f"spikes/{name}", (3,), h5py.vlen_dtype(np.dtype(kind)))
            for k in range(3):
                data[k] = np.arange(5 * k, dtype=kind) / (100 if kind == "f4" else 1)
        file["labels"] = np.arange(3)


def _program() -> Any:
    from ranvier.hardware import ChipProgram

    rng = np.random.default_rng(0)
    return ChipProgram(rng.integers(-3, 9, (12, 9)), rng.integers(-3, 4, (12, 12)) * (1 - np.eye(12, dtype=int)),
                       threshold=20.0, leak=0.125, refractory=2, scale=2)  # fmt: skip


def _board(path: Path) -> None:
    """What a host writes: a program and spikes."""
    from ranvier.hardware.link import READ_BACK, SPIKES, encode, encode_spikes

    program = _program()
    blocks = b"".join(bytes((command,)) + block for command, block in encode(program).items())
    spikes = encode_spikes(program, np.random.default_rng(1).random((20, 9)) < 0.3)
    path.write_bytes(blocks + bytes((SPIKES,)) + spikes + bytes((READ_BACK,)))


def _link(path: Path) -> None:
    """What a chip answers to a program and to spikes."""
    from ranvier.hardware.link import FORWARD, encode

    path.write_bytes(encode(_program())[FORWARD][:-1] + b"\xff" + bytes(225))


def write_onnx(path: Path) -> None:
    from onnx import TensorProto, helper, numpy_helper

    weight = np.linspace(-1, 1, 36, dtype=np.float32).reshape(3, 2, 3, 2)
    constants = {"w": weight, "b": np.float32([1, 2, 3]), "s": np.int64([1, -1]), "m": np.ones((6, 2), np.float32)}
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["v0"], strides=[2, 1], pads=[1, 0, 0, 2]),
        helper.make_node("Relu", ["v0"], ["v1"]),
        helper.make_node("AveragePool", ["v1"], ["v2"], kernel_shape=[2, 6], strides=[1, 1]),
        helper.make_node("Reshape", ["v2", "s"], ["v3"]),
        helper.make_node("Concat", ["v3", "v3"], ["v4"], axis=1),
        helper.make_node("Gemm", ["v4", "m"], ["v5"], alpha=0.5),
        helper.make_node("Sigmoid", ["v5"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 5, 5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())


def _language_model(path: Path) -> None:
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    from tests.interpret.conftest import language_model

    words = Tokenizer(models.WordLevel({f"w{k}": k for k in range(30)}, unk_token="w0"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    language_model("llama").save_pretrained(path)
    transformers.PreTrainedTokenizerFast(tokenizer_object=words, pad_token="w0").save_pretrained(path)


def _gguf(path: Path) -> None:
    """A random Llama of one layer."""
    import gguf

    rng = np.random.default_rng(0)
    out = gguf.GGUFWriter(path, "llama")
    out.add_context_length(16), out.add_embedding_length(8), out.add_block_count(1), out.add_feed_forward_length(12)
    out.add_head_count(2), out.add_head_count_kv(2), out.add_layer_norm_rms_eps(1e-5), out.add_vocab_size(12)
    out.add_tokenizer_model("gpt2")
    out.add_token_list(["t", "0", *(f"t{k}" for k in range(8)), "<s>", "</s>"])
    out.add_token_merges(["t 0"]), out.add_token_types([1] * 12)
    out.add_bos_token_id(10), out.add_eos_token_id(11)
    shapes = {"token_embd": (12, 8), "output_norm": (8,), "output": (12, 8)}
    shapes |= {"blk.0.attn_norm": (8,), "blk.0.ffn_norm": (8,), "blk.0.ffn_down": (8, 12)}
    shapes |= {f"blk.0.ffn_{name}": (12, 8) for name in ("gate", "up")}
    shapes |= {f"blk.0.attn_{name}": (8, 8) for name in ("q", "k", "v", "output")}
    for name, shape in shapes.items():
        out.add_tensor(f"{name}.weight", rng.standard_normal(shape).astype(np.float32))
    out.write_header_to_file(), out.write_kv_data_to_file(), out.write_tensors_to_file()
    out.close()


class Port:
    """A serial port whose other side says what a file holds, and takes whatever is written."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def read(self, size: int = 1) -> bytes:
        piece = self.data[self.at : self.at + size]
        self.at += len(piece)
        return piece

    def write(self, data: bytes) -> int:
        return len(data)


def serve(path: str | Path) -> Any:
    """An emulated board that hears a file."""
    from ranvier.hardware import Board, LinkError

    board = Board(Port(Path(path).read_bytes()))
    try:
        while board.serve():
            pass
    except LinkError as error:
        raise LinkError(f"{path}: {error}") from error
    return board


def ask(path: str | Path) -> Any:
    """A host whose chip answers with a file."""
    from ranvier.hardware import Link, LinkError

    link = Link(Port(Path(path).read_bytes()))
    try:
        link.load(_program())
        return link.run(np.ones((20, 9), bool))
    except LinkError as error:
        raise LinkError(f"{path}: {error}") from error


def store(path: str | Path) -> Any:
    """Convert a GGUF file into a cache beside it."""
    import shutil

    from ranvier.interpret import store_model

    folder = Path(path).parent / "models"
    os.environ["RANVIER_MODELS"] = str(folder)
    try:
        return store_model(path, "x")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def open_session(path: str | Path, **options: Any) -> Any:
    """All of a recording, also what is read only when it is cut."""
    from ranvier.recordings import read_session

    session = read_session(path, **options)
    signals = [*session.behaviour.values(), *(s for s in session.stimuli.values() if hasattr(s, "read"))]
    values = [signal.read() for signal in signals]
    values += [session.rates() if session.kind == "spikes" else session.activity.read()]
    return session, values


def open_activations(path: str | Path) -> Any:
    """All of a record of activations."""
    from ranvier.interpret import read_activations

    record = read_activations(path)
    return [record[name] for name in record.layers], record.lengths
