"""Which readers of NIR give our spikes: a table node x reader, measured.

    python -m tests.oracles.nir_readers              # makes .venv-peers-nir, writes benchmarks/results/nir_readers.md
    python -m tests.oracles.nir_readers --python P   # with an interpreter that has the readers

A model of each kind is written by `nn.to_nir` at dt = 0.1 ms, read and run by each reader, and compared with the model
itself: spikes must be the same, values within 1e-4 of the largest.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
READERS = ("norse", "snntorch", "sinabs", "spikingjelly")
REQUIREMENTS = (
    "norse==1.1.0", "snntorch==1.0.0", "sinabs==3.1.3", "spikingjelly==2.0.0", "nirtorch==2.6", "nir==1.0.8",
)  # fmt: skip
STEPS, CLOSE = 60, 1e-4


def models():
    """Nodes -> a model that is written with them, and the shape of its input."""
    import torch
    from torch import nn

    import ranvier as rv

    torch.manual_seed(0)
    LIF, LI = rv.nn.LIF, rv.nn.LI

    def spiking(*shape):
        return LIF(shape, beta=0.8, threshold=0.3, reset="zero")

    def plain(neurons, **options):
        layer = neurons(6, 5, **options)
        if layer.linear.bias is not None:
            torch.nn.init.zeros_(layer.linear.bias)  # written as an Affine, which every reader has
        return layer

    leaky = {"beta": 0.8, "threshold": 0.5, "reset": "zero"}
    return {
        "LIF": ((plain(LIF, **leaky),), (6,)),
        "Linear, LIF": ((plain(LIF, bias=False, **leaky),), (6,)),
        "Affine, LIF": ((LIF(6, 5, **leaky),), (6,)),
        "CubaLIF": ((plain(LIF, alpha=0.6, **leaky),), (6,)),
        "IF": ((plain(LIF, beta=1.0, threshold=0.9, reset="zero"),), (6,)),
        "LI": ((plain(LI, beta=0.8),), (6,)),
        "CubaLI": ((plain(LI, beta=0.8, alpha=0.6),), (6,)),
        "I": ((plain(LI, beta=1.0),), (6,)),
        "LIF, recurrent": ((plain(LIF, recurrent=True, **leaky),), (6,)),
        "Delay, LIF": ((rv.nn.Delay(6, 2), plain(LIF, **leaky)), (6,)),
        "Conv1d, LIF": ((nn.Conv1d(2, 3, 3), spiking(3, 6)), (2, 8)),
        "Conv2d, LIF": ((nn.Conv2d(1, 2, 3), spiking(2, 4, 4)), (1, 6, 6)),
        "AvgPool2d, LIF": ((nn.AvgPool2d(2), spiking(1, 3, 3)), (1, 6, 6)),
        "SumPool2d, LIF": ((nn.AvgPool2d(2, divisor_override=1), spiking(1, 3, 3)), (1, 6, 6)),
        "Flatten, LIF": ((nn.Flatten(), plain(LIF, **leaky)), (2, 3)),
    }


def write(folder: Path) -> list[str]:
    """A file a model, its input, and what the model makes of it."""
    import numpy as np
    import torch

    import ranvier as rv

    names = []
    for name, (parts, shape) in models().items():
        model, stem = rv.nn.Sequential(*parts), name.replace(", ", "_")
        x = (torch.rand(STEPS, 1, *shape, generator=torch.Generator().manual_seed(1)) < 0.4).float()
        rv.nn.write_nir(model, folder / f"{stem}.nir", input_shape=shape)
        np.savez(folder / f"{stem}.npz", x=x.numpy(), y=model(x)[0].detach().numpy())
        names.append(name)
    return names


def run(reader: str, path: Path, x):
    """The output of a reader's model, (steps, 1, ...); in the readers' environment."""
    import logging

    import nir
    import torch

    logging.disable()
    graph = nir.read(path)
    if reader == "sinabs":
        from sinabs.nir import from_nir

        out = from_nir(graph, batch_size=1)(x[:, 0])
        return out[0] if isinstance(out, tuple) else out
    if reader == "norse":
        import norse.torch

        model = norse.torch.from_nir(graph, dt=1e-4)
    elif reader == "snntorch":
        from snntorch.import_nir import import_from_nir

        model = import_from_nir(graph)
    else:
        from spikingjelly.activation_based.nir_exchange import import_from_nir

        model = import_from_nir(graph)
    state, rows = None, []
    for now in x:
        out = model(now, state)
        y, state = out if isinstance(out, tuple) else (out, None)
        rows.append(y[0] if isinstance(y, tuple) else y)
    return torch.stack(rows)


def read(folder: Path, names: list[str]) -> dict[str, dict[str, str]]:
    """Verdicts, kind -> reader -> text; in the readers' environment."""
    import warnings

    import numpy as np
    import torch

    warnings.simplefilter("ignore")
    verdicts: dict[str, dict[str, str]] = {}
    for name in names:
        path = folder / f"{name.replace(', ', '_')}.nir"
        stored = np.load(path.with_suffix(".npz"))
        for reader in READERS:
            try:
                with torch.no_grad():
                    y = run(reader, path, torch.tensor(stored["x"])).double().numpy().reshape(STEPS, -1)
                expected = stored["y"].reshape(STEPS, -1).astype(float)
                error = np.abs(y - expected)
                if error.max() <= CLOSE * np.abs(expected).max():
                    verdict = "yes"
                elif set(np.unique(expected)) <= {0.0, 1.0}:
                    verdict = f"no ({int((error > 0.5).sum())} of {error.size} values differ)"
                else:
                    verdict = f"no (off by up to {error.max() / np.abs(expected).max():.2g} of the largest)"
            except Exception as failure:  # readers assert, and fail in many ways
                text = " ".join(str(failure).split())[:70].replace("|", "/")
                verdict = f"not read ({type(failure).__name__}: {text})"
            verdicts.setdefault(name, {})[reader] = verdict
    return verdicts


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.oracles.nir_readers", description=__doc__)
    parser.add_argument("--python", help="an interpreter that has the readers")
    parser.add_argument("--read", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        print(json.dumps(read(Path(options.read[0]), json.loads(options.read[1]))))
        return 0
    python = options.python
    if python is None:
        from benchmarks._processes import install

        # sinabs asks for nir <= 1.0.4, norse for any: it reads files of 1.0.8 too, and needs pbr
        ours = [*(text for text in REQUIREMENTS if not text.startswith("sinabs")), "pbr"]
        calls = ours, ["--no-deps", next(text for text in REQUIREMENTS if text.startswith("sinabs"))]
        check = "import norse, snntorch, sinabs, spikingjelly"
        if reason := install(ROOT / ".venv-peers-nir", *calls, check=check):
            print(f"The readers are missing: {reason}")
            return 1
        python = str(ROOT / ".venv-peers-nir" / "bin" / "python")
    with tempfile.TemporaryDirectory() as folder:
        names = write(Path(folder))
        call = [python, __file__, "--read", folder, json.dumps(names)]
        answer = subprocess.run(call, stdout=subprocess.PIPE, text=True, check=True).stdout
    verdicts = json.loads(answer.splitlines()[-1])
    table = [
        f"Files of `nn.to_nir` at dt = 0.1 ms, read by {', '.join(REQUIREMENTS[:4])}: the model's own output?",
        "",
        f"| | {' | '.join(READERS)} |",
        f"|---|{'---|' * len(READERS)}",
        *(f"| {name} | {' | '.join(row[r] for r in READERS)} |" for name, row in verdicts.items()),
    ]
    print("\n".join(table))
    (ROOT / "benchmarks" / "results" / "nir_readers.md").write_text("\n".join(table) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
