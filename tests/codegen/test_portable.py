"""Elementary functions of float64 tensors: accurate to a few ulp, differentiable, put in torch's place."""

import math

import numpy as np
import pytest
import torch

from ranvier.codegen.arithmetic import portable

ULP = 2.0**-52


def points(low, high, count=20_001):
    grid = torch.linspace(low, high, count, dtype=torch.float64)
    return torch.cat([grid, torch.tensor([0.0, -0.0, 1e-300, 1e-10, -1e-10, 0.5, 1.0], dtype=torch.float64)])


# tolerances in ulp of the result: the series' degree leaves less than one, each rounding adds a half
@pytest.mark.parametrize(
    "name, low, high, tolerance",
    [
        ("exp", -700, 700, 3), ("expm1", -40, 40, 4), ("sinh", -40, 40, 6), ("cosh", -40, 40, 4),
        ("tanh", -30, 30, 6), ("log", 1e-3, 1e6, 3), ("sqrt", 0, 1e6, 0.51),
    ],
)  # fmt: skip
def test_values(name, low, high, tolerance):
    x = points(low, high)
    x = x[x > 0] if name in ("log", "sqrt") else x
    right = getattr(np, name)(x.numpy().astype(np.longdouble))
    error = np.abs(getattr(portable, name)(x).numpy() - right) / np.maximum(np.abs(right), 1e-300)
    assert float(error.max()) < tolerance * ULP


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_angles(name):
    x = torch.cat([points(-10, 10), points(-1e6, 1e6)])
    right = getattr(np, name)(x.numpy().astype(np.longdouble))
    assert float(np.abs(getattr(portable, name)(x).numpy() - right).max()) < 4 * ULP


def test_ends():
    x = torch.tensor([-math.inf, -800.0, -740.0, 0.0, 709.7, 710.0, math.inf, math.nan], dtype=torch.float64)
    torch.testing.assert_close(portable.exp(x), torch.exp(x), rtol=1e-15, atol=5e-324, equal_nan=True)
    y = torch.tensor([-1.0, 0.0, 5e-324, 1e-310, 1.0, math.inf, math.nan], dtype=torch.float64)
    torch.testing.assert_close(portable.log(y), torch.log(y), rtol=4 * ULP, atol=0.0, equal_nan=True)


@pytest.mark.parametrize("exponent", [3.0, -2.0, 0.5, -1.7, 0.0, 12.3])
def test_powers(exponent):
    x = points(0.01, 50.0, 2001)
    x = x[x > 1e-5]
    right = x.numpy().astype(np.longdouble) ** exponent
    error = np.abs(portable.power(x, exponent).numpy() / right - 1)
    # |y ln x| ulp where a logarithm stands between
    assert float(error.max()) < (4 + 12 * abs(exponent)) * ULP
    zero = torch.zeros(1, dtype=torch.float64)
    if exponent >= 0:
        assert float(portable.power(zero, exponent)) == float(torch.pow(zero, exponent))


@pytest.mark.parametrize("scale", [1e-3, 0.3, 5.0])
@pytest.mark.parametrize("shape", [(2, 2), (3, 5, 5)])
def test_matrices(scale, shape):
    random = torch.Generator().manual_seed(3)
    a = torch.randn(shape, generator=random, dtype=torch.float64) * scale
    b = torch.randn(shape, generator=random, dtype=torch.float64)
    right = torch.linalg.matrix_exp(a)
    error = (portable.matrix_exp(a) - right).abs().max() / right.abs().max()
    assert float(error) < 200 * ULP
    torch.testing.assert_close(portable.matmul(a, b), a @ b, rtol=1e-14, atol=1e-14)


def test_gradients():
    x = torch.linspace(0.1, 3.0, 7, dtype=torch.float64, requires_grad=True)
    for name in ("exp", "expm1", "log", "sqrt", "sin", "cos", "sinh", "cosh", "tanh"):
        (ours,) = torch.autograd.grad(getattr(portable, name)(x).sum(), x)
        (right,) = torch.autograd.grad(getattr(torch, name)(x).sum(), x)
        torch.testing.assert_close(ours, right, rtol=1e-11, atol=1e-12)


def test_in_torchs_place():
    x = torch.linspace(0.1, 3.0, 7, dtype=torch.float64)
    a = torch.stack([x, x.flip(0)])
    with portable.Portable():
        assert torch.equal(torch.exp(x), portable.exp(x))
        assert torch.equal(x.exp(), portable.exp(x))
        assert torch.equal(a @ a.mT, portable.matmul(a, a.mT))
        assert torch.equal(torch.pow(x, 2.5), portable.power(x, 2.5))
        assert torch.exp(x.float()).dtype == torch.float32
    assert torch.exp(x) is not None


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["sin", "cos"])
def test_angles_in_kernels(name, dtype):
    """The nearest number or its neighbour, near multiples of pi/2 too; nothing is left to the C library."""
    import mpmath
    import numba

    from ranvier.codegen.arithmetic import simd

    function = getattr(simd, name)

    @numba.njit
    def fill(x, out):
        for i in range(len(x)):
            out[i] = function(x[i])

    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(-1, 1, 200) * scale for scale in (1e-8, 1.0, 1e3, 1e6, 1e9, 1e12)])
    x = np.concatenate([x, np.arange(-200, 200) * np.pi / 2, [0.0, -0.0]]).astype(dtype)
    out = np.empty_like(x)
    fill(x, out)
    with mpmath.workprec(200):
        right = np.array([float(getattr(mpmath, name)(mpmath.mpf(float(v)))) for v in x])
    assert (np.abs(out.astype(float) - right) / np.spacing(np.abs(right.astype(dtype)))).max() <= 1.0
    code = "".join(fill.inspect_llvm().values())
    assert not {"@sin", "@cos", "llvm.sin", "llvm.cos"} & set(code.replace("(", " ").split())
    odd = np.array([np.nan, np.inf, -np.inf, 2.0**41], dtype)
    fill(odd, odd)
    assert np.isnan(odd).all()
