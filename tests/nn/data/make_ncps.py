"""Writes ncps.safetensors: weights, inputs and outputs of ncps' models, for tests/nn/test_ncps.py.

    pip install ncps==1.0.1 torch safetensors; python tests/nn/data/make_ncps.py

With time spans the batch is one: ncps 1.0.1 broadcasts spans (B,) against units.
"""

from pathlib import Path

import torch
from ncps.torch import LTC, CfC
from ncps.wirings import AutoNCP, FullyConnected
from safetensors.torch import save_file

MODELS = {
    "ltc": lambda: LTC(5, FullyConnected(7), batch_first=False),
    "ltc_ncp": lambda: LTC(5, AutoNCP(14, 3), batch_first=False),
    "ltc_mixed": lambda: LTC(5, AutoNCP(14, 3), batch_first=False, mixed_memory=True),
    "ltc_explicit": lambda: LTC(
        5, AutoNCP(14, 3), batch_first=False, implicit_param_constraints=False, input_mapping="linear",
        output_mapping=None, ode_unfolds=3, epsilon=1e-3,
    ),
    "cfc": lambda: CfC(5, 7, batch_first=False),
    "cfc_deep": lambda: CfC(5, 7, batch_first=False, backbone_units=11, backbone_layers=2, activation="relu"),
    "cfc_bare": lambda: CfC(5, 7, batch_first=False, backbone_layers=0, mode="no_gate", proj_size=2),
    "cfc_pure": lambda: CfC(5, 7, batch_first=False, mode="pure"),
    "cfc_ncp": lambda: CfC(5, AutoNCP(14, 3), batch_first=False, proj_size=2),
    "cfc_mixed": lambda: CfC(5, AutoNCP(14, 3), batch_first=False, mixed_memory=True),
}  # fmt: skip


def main() -> None:
    torch.manual_seed(0)
    saved = {}
    for name, make in MODELS.items():
        model = make()
        with torch.no_grad():
            for p in model.parameters():
                if p.requires_grad:
                    p += 0.05 * torch.rand_like(p)
        for part, batch in (("even", 3), ("timed", 1)):
            x, spans = torch.randn(20, batch, 5), 0.05 + 3 * torch.rand(20, batch)
            with torch.no_grad():
                y, last = model(x, timespans=spans if part == "timed" else None)
            last = last[0] if isinstance(last, tuple) else last
            for key, value in (("x", x), ("spans", spans), ("y", y), ("last", last)):
                saved[f"{name}.{part}.{key}"] = value.contiguous()
        for key, value in model.state_dict().items():
            saved[f"{name}.state.{key}"] = value.contiguous()
    save_file(saved, Path(__file__).with_name("ncps.safetensors"))


if __name__ == "__main__":
    main()
