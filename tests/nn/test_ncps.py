"""Weights of ncps' models give ncps' outputs; data/make_ncps.py made the reference."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import ranvier as rv

REFERENCE = load_file(Path(__file__).parent / "data" / "ncps.safetensors")
OPTIONS = {
    "ltc": {}, "ltc_ncp": {}, "ltc_mixed": {},
    "ltc_explicit": {"constraint": "clamp", "unfolds": 3, "epsilon": 1e-3, "outputs": 3},
    "cfc": {}, "cfc_deep": {"activation": "relu"}, "cfc_bare": {"mode": "no_gate"}, "cfc_pure": {"mode": "pure"},
    "cfc_ncp": {}, "cfc_mixed": {},
}  # fmt: skip


def load(name: str, **changes):
    kind = rv.nn.LTC if name.startswith("ltc") else rv.nn.CfC
    start = f"{name}.state."
    state = {k.removeprefix(start): v for k, v in REFERENCE.items() if k.startswith(start)}
    return kind.from_ncps(state, **{**OPTIONS[name], **changes})


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", OPTIONS)
def test_the_same_outputs(name, fused):
    cell = load(name)
    cell.fused = fused
    for part in ("even", "timed"):
        x, spans, expected, last = (REFERENCE[f"{name}.{part}.{k}"] for k in ("x", "spans", "y", "last"))
        y, state = cell(x, timespans=spans if part == "timed" else None)
        torch.testing.assert_close(y, expected, rtol=0, atol=1e-6)
        torch.testing.assert_close(state[cell.state_name], last, rtol=0, atol=1e-6)


def test_spans_and_the_constraint_matter():
    """What a careless reader would leave out is far outside the tolerance."""
    x, expected = (REFERENCE[f"ltc.timed.{k}"] for k in ("x", "y"))
    assert (load("ltc")(x)[0] - expected).abs().max() > 1e-3
    x, expected = (REFERENCE[f"ltc.even.{k}"] for k in ("x", "y"))
    assert (load("ltc", constraint="clamp")(x)[0] - expected).abs().max() > 1e-3


def test_only_the_synapses_of_the_mask_are_kept():
    cell = load("ltc_ncp")
    mask = REFERENCE["ltc_ncp.state.rnn_cell.sparsity_mask"]
    assert len(cell.w) == int(mask.sum()) < mask.numel() / 3


def test_other_states_are_refused():
    for kind in (rv.nn.LTC, rv.nn.CfC):
        with pytest.raises(ValueError, match=r"expected the state_dict\(\) of ncps"):
            kind.from_ncps({"weight": torch.ones(3)})
