"""Inverses and Hermitian inverses of batches of dense matrices, by LAPACK, in the fewest operations."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

SMALL = 48  # below it one batched call is quicker than a loop of them
ROUGH = 1e3
SINGULAR = "I - K is singular: the network is at the edge of instability; expected weaker weights"


def inverse(matrix: Tensor) -> Tensor:
    """Of matrices (F, n, n), real or complex. Raises ValueError where one is singular."""
    n = matrix.shape[-1]
    if n < SMALL:
        return torch.linalg.inv(matrix)
    from scipy.linalg import get_lapack_funcs

    factor, invert = get_lapack_funcs(("getrf", "getri"), dtype=matrix.numpy().dtype)
    result = np.empty(matrix.shape, matrix.numpy().dtype)
    for k, one in enumerate(matrix.numpy()):
        lu, pivots, failed = factor(one.T)  # C order is the transpose in LAPACK's, and so is the result
        if failed:
            raise ValueError(SINGULAR)
        result[k] = invert(lu, pivots, lwork=64 * n, overwrite_lu=1)[0].T
    return torch.from_numpy(result)


def spectral_matrix(matrix: Tensor, spectrum: Tensor) -> Tensor:
    """M^-1 diag(S) M^-† of M (F, n, n), S (F, n) >= 0: a third of the work of an inverse and a product.

    With M' = S^-1/2 M S^1/2, which is as well-conditioned as M however different the S are, it is
    S^1/2 (M'† M')^-1 S^1/2: one Hermitian product and one Cholesky inverse.
    """
    root = torch.sqrt(spectrum)
    least = 1e-12 * root.max(-1, keepdim=True).values  # a silent neuron sends nothing
    safe = torch.maximum(root, torch.where(least > 0, least, 1.0))
    scaled = matrix * safe[:, None, :]
    scaled /= safe[:, :, None]
    if not float(scaled.abs().max()) < ROUGH:  # its square would lose digits; or a spectrum is negative
        R = inverse(matrix)
        return (R * spectrum[:, None]) @ R.mH
    n = matrix.shape[-1]
    if n < SMALL:
        result = torch.cholesky_inverse(torch.linalg.cholesky(scaled.mH @ scaled))
    else:
        result = torch.from_numpy(np.stack([_hermitian_inverse(one) for one in scaled.numpy()]))
    result *= root[:, :, None]
    result *= root[:, None, :]
    return result


def _hermitian_inverse(matrix: np.ndarray) -> np.ndarray:
    """(M† M)^-1."""
    from scipy.linalg import get_blas_funcs, get_lapack_funcs

    (product,) = get_blas_funcs(("herk" if np.iscomplexobj(matrix) else "syrk",), dtype=matrix.dtype)
    factor, invert = get_lapack_funcs(("potrf", "potri"), dtype=matrix.dtype)
    # read by LAPACK, M is M^T: the product is the conjugate of M† M, and so is its inverse, read back
    squared = product(1.0, matrix.T, lower=1)
    lower, failed = factor(squared, lower=1, overwrite_a=1)
    if failed:
        raise ValueError(SINGULAR)
    upper = invert(lower, lower=1, overwrite_c=1)[0].T
    result = np.triu(upper)
    result += np.triu(upper, 1).conj().T
    return result
