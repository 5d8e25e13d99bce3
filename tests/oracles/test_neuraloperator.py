"""Spectral convolutions against those of neuraloperator 2.0, where it is installed (a separate environment, or its
files on PYTHONPATH; it asks for tensorly, tensorly-torch, opt-einsum, ruamel.yaml, zencfg, configmypy, wandb)."""

from __future__ import annotations

import pytest
import torch

from ranvier.operators import SpectralConvolution


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("size", [(16,), (12, 16), (8, 10, 12)])
def test_spectral_convolution(size):
    spectral = pytest.importorskip("neuralop.layers.spectral_convolution", reason="neuraloperator is not installed")
    torch.manual_seed(0)
    m, dims = 4, len(size)
    ours = SpectralConvolution(2, 3, (m,) * dims)
    theirs = spectral.SpectralConv(2, 3, (2 * m,) * dims, bias=False)
    weight = torch.zeros(2, 3, *(2 * m,) * (dims - 1), m + 1, dtype=torch.cfloat)
    signed = [torch.tensor([0, 1, 2, 3, -3, -2, -1]) + m] * (dims - 1)  # theirs run from -m to m - 1, and from 0 to m
    places = torch.meshgrid(*signed, torch.arange(m), indexing="ij")
    with torch.no_grad():
        weight[(slice(None), slice(None), *places)] = torch.view_as_complex(ours.weight)
        stored = theirs.weight if isinstance(theirs.weight, torch.Tensor) else theirs.weight.tensor
        stored.copy_(weight)
        x = torch.randn(2, 2, *size)
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-6)
