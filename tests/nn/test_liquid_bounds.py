"""Liquid and closed-form cells stay within their bounds for any time span from 1e-6 to 1e6 and any finite input."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ranvier.nn import LTC, AutoNCP, CfC, FullyConnected

CELLS = {
    "ltc": lambda **o: LTC(3, 4, **o),
    "ltc_ncp": lambda **o: LTC(3, AutoNCP(8, 2), **o),
    "ltc_clamp": lambda **o: LTC(3, FullyConnected(4), constraint="clamp", unfolds=2, **o),
    "ltc_mixed": lambda **o: LTC(3, 4, mixed_memory=True, **o),
    "cfc": lambda **o: CfC(3, 4, backbone=(6,), **o),
    "cfc_bare": lambda **o: CfC(3, 4, backbone=(), activation="relu", **o),
    "cfc_ncp": lambda **o: CfC(3, AutoNCP(8, 2), **o),
    "cfc_mixed": lambda **o: CfC(3, 4, backbone=(), mixed_memory=True, **o),
    "cfc_no_gate": lambda **o: CfC(3, 4, mode="no_gate", **o),
    "cfc_pure": lambda **o: CfC(3, 4, mode="pure", **o),
}


def bounds(cell, span):
    """Least and greatest value of the state: A of the equations."""
    if isinstance(cell, LTC):  # a mean of the reversal potentials, of 0 (epsilon's) and of what it was
        ends = [cell.erev, cell.sensory_erev, cell.vleak, torch.zeros(1)]
        ends += [torch.tensor([-1.0, 1.0])] if cell.lstm is not None else []  # which the memory writes
        ends = torch.cat([e.detach().double() for e in ends])
        return ends.min(), ends.max()
    if cell.mode == "pure":  # A − A f exp(−Δt (|w| + |f|)), and f exp(−Δt f) ≤ 1/(e Δt)
        most = cell.layers[0].A.detach().double().abs().max() * (1 + 1 / (torch.e * span))
    else:  # between two tanh; without the gate, their sum
        most = torch.tensor(2.0 if cell.mode == "no_gate" else 1.0, dtype=torch.float64)
    return -most, most


@given(
    exponent=st.floats(-6, 6), scale=st.floats(0, 30), seed=st.integers(0, 10**6), single=st.booleans(),
    fused=st.booleans(), magnitude=st.floats(0, 1),
)  # fmt: skip
@pytest.mark.parametrize("name", CELLS)
@pytest.mark.filterwarnings("ignore:.* is a memory of:RuntimeWarning")  # bounds hold in float32 all the same
def test_any_span_and_input_leave_the_state_within_its_bounds(name, exponent, scale, seed, single, fused, magnitude):
    random = torch.Generator().manual_seed(seed)
    dtype, span = torch.float32 if single else torch.float64, 10.0**exponent
    cell = CELLS[name](fused=fused, dtype=torch.float64)
    with torch.no_grad():
        for p in cell.parameters():
            p.copy_(scale * torch.randn(p.shape, generator=random, dtype=torch.float64))
    cell, kind = cell.to(dtype), torch.finfo(dtype)
    # magnitudes from the least to the greatest that the type has, signs and zeros drawn
    x = kind.tiny ** (1 - magnitude) * kind.max**magnitude * torch.randint(-1, 2, (5, 2, 3), generator=random).to(dtype)
    low, high = bounds(cell, span)
    state = cell.init_state(2)
    room = torch.rand(2, cell.units, generator=random, dtype=torch.float64)
    state[cell.state_name] = (low + (high - low) * room).to(dtype).clamp(low.to(dtype), high.to(dtype))
    # a mean of as many terms as there are synapses is off by their number of roundings, each unfold
    slack = 100 * kind.eps * float(high - low) + kind.tiny
    for _ in range(3):
        with torch.no_grad():
            _, state = cell(x, state, torch.full((5,), span))
        v = state[cell.state_name].double()
        assert bool((v >= low - slack).all() and (v <= high + slack).all()), (v, low, high)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", CELLS)
def test_the_greatest_floats_are_input_like_any_other(name, dtype, fused):
    """Sums of them overflow to both infinities; the state and every gradient stay finite."""
    torch.manual_seed(0)
    cell = CELLS[name](fused=fused, dtype=dtype)
    x = torch.finfo(dtype).max * torch.sign(torch.randn(6, 4, 3, dtype=dtype))
    y, state = cell(x)
    y.square().sum().backward()
    assert bool(torch.isfinite(state[cell.state_name]).all())
    assert all(p.grad is None or bool(torch.isfinite(p.grad).all()) for p in cell.parameters())
