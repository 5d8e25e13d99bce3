"""Writes what tests/nn/test_nir.py compares with: files of snnTorch and SpikingJelly, and the spikes of both.

    python tests/nn/data/make_nir.py ours FOLDER      # with ranvier: models as files for the two to read
    pip install snntorch==1.0.0 spikingjelly==2.0.0 nir==1.0.8 nirtorch==2.6 safetensors
    python tests/nn/data/make_nir.py theirs FOLDER    # runs those, writes theirs, and all into nir.zip, nir.safetensors

Per file <name>.nir there are <name>.x and <name>.y in nir.safetensors; of ours, <name>.<reader>.x and .y. snnTorch's
importer is left out for recurrent layers, as with nirtorch 2.6 it sends the input through the recurrent weights, and
gets images without a batch, as it flattens the batch, too.
"""

import sys
import zipfile
from pathlib import Path

import nir
import torch
from torch import nn

DATA = Path(__file__).parent


def spikes(*shape):
    return (torch.rand(40, *shape) < 0.4).float()


def ours(folder):
    import ranvier as rv

    torch.manual_seed(1)
    lif = rv.nn.LIF
    models = {
        "ours_plain": (lif(12, 10, reset="zero", beta=0.8, threshold=0.5),
                       lif(10, 6, reset="zero", beta=0.7, alpha=0.4, threshold=0.6)),
        "ours_recurrent": (lif(12, 8, reset="zero", recurrent=True, threshold=0.5), nn.Linear(8, 4),
                           lif(reset="zero", alpha=0.6, threshold=0.2)),
        "ours_images": (nn.Conv2d(1, 2, 3), lif(reset="zero", beta=0.6, threshold=0.2), nn.AvgPool2d(2), nn.Flatten(),
                        lif(8, 4, reset="zero", threshold=0.2)),
    }  # fmt: skip
    for name, parts in models.items():
        shape = (1, 6, 6) if "images" in name else None
        rv.nn.write_nir(rv.nn.Sequential(*parts), folder / f"{name}.nir", input_shape=shape)


def theirs(folder):
    import snntorch as snn
    import spikingjelly.activation_based.neuron as sj
    from safetensors.torch import save_file
    from snntorch.export_nir import export_to_nir
    from snntorch.import_nir import import_from_nir
    from spikingjelly.activation_based import nir_exchange

    torch.manual_seed(2)

    def leaky(*shape, threshold=0.6, **options):
        return snn.Leaky(torch.full(shape, 0.85), torch.full(shape, threshold), init_hidden=True, **options)

    def synaptic(n, threshold=0.7, **options):
        options |= {"init_hidden": True, "reset_delay": False}
        return snn.Synaptic(torch.full((n,), 0.5), torch.full((n,), 0.8), torch.full((n,), threshold), **options)

    def recurrent(n, **options):
        return snn.RLeaky(0.85, linear_features=n, threshold=0.6, init_hidden=True, **options)

    models = {
        "snntorch_zero": (nn.Linear(12, 10), leaky(10, reset_mechanism="zero"), nn.Linear(10, 6),
                          synaptic(6, reset_mechanism="zero")),
        "snntorch_delayed": (nn.Linear(12, 10, bias=False), leaky(10), nn.Linear(10, 6), recurrent(6)),
        "snntorch_subtract": (nn.Linear(12, 10), leaky(10, threshold=1.0, reset_delay=False), nn.Linear(10, 6),
                              synaptic(6, threshold=1.5)),
        "snntorch_images": (nn.Conv2d(1, 2, 3), leaky(2, 4, 4, reset_mechanism="zero"), nn.AvgPool2d(2), nn.Flatten(),
                            nn.Linear(8, 4), leaky(4, reset_mechanism="zero")),
        "spikingjelly": (nn.Linear(12, 10), sj.LIFNode(3.0, decay_input=True, v_threshold=0.2), nn.Linear(10, 8),
                         sj.LIFNode(2.5, decay_input=False, v_threshold=0.5), nn.Linear(8, 6), sj.IFNode(0.7)),
    }  # fmt: skip
    result = {}
    for name, parts in models.items():
        model = nn.Sequential(*parts)
        result[f"{name}.x"] = x = spikes(3, 1, 6, 6) if "images" in name else spikes(3, 12)
        if name == "spikingjelly":
            graph = nir_exchange.export_to_nir(model, x[0])
        else:
            graph = export_to_nir(model, x[0, :1], ignore_dims=[0])
        for module in model:
            for forget in ("reset", "reset_mem"):  # what the exporter's own pass left
                if callable(getattr(module, forget, None)):
                    getattr(module, forget)()
        nir.write(folder / f"{name}.nir", graph)
        result[f"{name}.y"] = torch.stack([model(now) for now in x])
    for reader, read in (("snntorch", import_from_nir), ("spikingjelly", nir_exchange.import_from_nir)):
        for name in ("ours_plain", "ours_recurrent", "ours_images"):
            if (reader, name) == ("snntorch", "ours_recurrent"):
                continue
            shape = (1, 6, 6) if name == "ours_images" else (12,)
            x = spikes(*shape) if (reader, name) == ("snntorch", "ours_images") else spikes(3, *shape)
            state, rows, model = None, [], read(nir.read(folder / f"{name}.nir"))
            for now in x:
                y, state = model(now, state)
                rows.append(y)
            y = torch.stack(rows)
            if x.ndim == 4:
                x, y = x[:, None], y.reshape(len(y), 1, -1)
            result |= {f"{name}.{reader}.x": x, f"{name}.{reader}.y": y}
    for name, y in result.items():
        assert not name.endswith("y") or 0.02 < y.mean() < 0.98, (name, y.mean())
    save_file({name: y.detach().to(torch.uint8).contiguous() for name, y in result.items()}, DATA / "nir.safetensors")
    with zipfile.ZipFile(DATA / "nir.zip", "w", zipfile.ZIP_LZMA) as packed:
        for path in sorted(folder.glob("*.nir")):
            packed.write(path, path.name)


if __name__ == "__main__":
    {"ours": ours, "theirs": theirs}[sys.argv[1]](Path(sys.argv[2]))
