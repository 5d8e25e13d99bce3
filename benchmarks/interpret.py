"""Recording, decoding and path search beside what they are made of: python -m benchmarks.interpret [--texts N].

SmolLM2 comes from the cache (`make models`), the texts from RANVIER_DATA/text; each ratio is a median of pairs, in CPU
time of this process.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from ranvier.atlas import dataset
from ranvier.interpret import activations, feature_neurons, mlps, read_model


def texts(tokenizer: Any, number: int) -> list[dict[str, torch.Tensor]]:
    """The first sentences of the English text, 25 a batch, of like length."""
    folder = dataset("text")
    if folder is None:
        raise SystemExit("RANVIER_DATA names no folder with text/; expected the parallel sentences in it")
    lines = (folder / "en_pud-ud-test.conllu").read_text("utf-8").splitlines()
    sentences = [line.removeprefix("# text = ") for line in lines if line.startswith("# text = ")][:number]
    sentences.sort(key=len)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return [
        dict(tokenizer(sentences[k : k + 25], padding=True, return_tensors="pt")) for k in range(0, number, 25)
    ]


def memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def recording(number: int, repeats: int) -> None:
    model, tokenizer = read_model("smollm2")
    data = texts(tokenizer, number)
    layers = [mlp.neurons for mlp in mlps(model)]
    ratios, tokens = [], 0
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        activations(model, data[:1], layers, Path(folder) / "warm", dtype=torch.float16)
        for batch in data:
            model(**batch)
            break
        for k in range(repeats):
            start = time.process_time()
            for batch in data:
                model(**batch)
            bare = time.process_time() - start
            before, start, wall = memory(), time.process_time(), time.perf_counter()
            record = activations(model, data, layers, Path(folder) / str(k), dtype=torch.float16)
            both = time.process_time() - start
            size = sum(p.stat().st_size for p in (Path(folder) / str(k)).iterdir()) / 2**20
            ratios.append(both / bare)
            tokens = record.rows
            print(
                f"{number} sentences, {tokens} tokens: forward {bare:.1f} s, with recording {both:.1f} s "
                f"({time.perf_counter() - wall:.1f} s of wall time), {size:.0f} MiB on disk, peak memory "
                f"{before:.0f} -> {memory():.0f} MiB",
                flush=True,
            )
    print(f"recording / forward: {statistics.median(ratios):.3f} (median of {repeats})")


def decoding() -> None:
    model, _ = read_model("smollm2")
    start, wall = time.process_time(), time.perf_counter()
    result = feature_neurons(model, "read", top=1)
    print(
        f"{result.size} neurons decoded in {time.process_time() - start:.1f} s of CPU, "
        f"{time.perf_counter() - wall:.1f} s of wall time"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    decoding()
    recording(options.texts, options.repeats)


if __name__ == "__main__":
    main()
