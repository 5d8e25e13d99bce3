"""The numbers of an exact step: exp(A dt), its integral and the covariance of its noise, with gradients."""

from __future__ import annotations

from collections.abc import Mapping

import scipy.linalg
import torch
from torch import Tensor

from ranvier.equations.integrators import LinearBlock


def propagators(block: LinearBlock, values: Mapping[str, Tensor], dt: float) -> dict[str, Tensor]:
    """P_i_j, Q_i_j, R_i_j and L_i_j of the block's statements, () or (neurons,) each, float64.

    P = exp(A dt); Q = ∫₀^dt exp(A s) ds; R = ∫₀^dt exp(A (dt − s)) s/dt ds;
    L Lᵀ = ∫₀^dt exp(A s) B Bᵀ exp(Aᵀ s) ds (Van Loan 1978).
    `values` holds the parameters, () or (neurons,).
    """
    n = len(block.names)
    pairs = zip(block.entries, (block.A, block.B), strict=True)
    A, B = (_matrix(entries(**values), matrix.shape) for entries, matrix in pairs)
    shape = A.shape[:-2]
    augmented = torch.zeros(*shape, 2 * n, 2 * n, dtype=torch.float64)
    augmented[..., :n, :n] = A * dt
    augmented[..., :n, n:] = torch.eye(n, dtype=torch.float64) * dt
    exponential = _exponential(augmented)
    P, Q = exponential[..., :n, :n], exponential[..., :n, n:]
    out = {f"P_{i}_{j}": P[..., i, j] for i in range(n) for j in range(n)}
    out |= {f"Q_{i}_{j}": Q[..., i, j] for i in range(n) for j in range(n)}
    if block.ramped:
        R = _ramp_response(A, dt)
        out |= {f"R_{i}_{j}": R[..., i, j] for i in range(n) for j in range(n)}
    noisy = list(block.noisy)
    if noisy:
        # noise never reaches the others, whose fast decay would overflow exp(-A dt)
        m, A, B = len(noisy), A[..., noisy, :][..., :, noisy], B[..., noisy, :]
        shape = torch.broadcast_shapes(A.shape[:-2], B.shape[:-2])
        van_loan = torch.zeros(*shape, 2 * m, 2 * m, dtype=torch.float64)
        van_loan[..., :m, :m] = -A * dt
        van_loan[..., :m, m:] = B @ B.mT * dt
        van_loan[..., m:, m:] = A.mT * dt
        right = _exponential(van_loan)[..., m:]
        L = _cholesky(right[..., m:, :].mT @ right[..., :m, :])
        out |= {f"L_{i}_{j}": L[i][j] for i in range(len(noisy)) for j in range(i + 1)}
    return out


def _exponential(matrix: Tensor) -> Tensor:
    """exp of square matrices; as a constant where a tracer writes ONNX, which has no such operator."""
    if torch.jit.is_tracing() and torch.onnx.is_in_onnx_export():
        return torch.from_numpy(scipy.linalg.expm(matrix.detach().numpy()))
    return torch.linalg.matrix_exp(matrix)


def _ramp_response(A: Tensor, dt: float) -> Tensor:
    """R, from the exponential of x' = A x + e, e' = 1/dt with an e for each variable."""
    n = A.shape[-1]
    eye = torch.eye(n, dtype=torch.float64)
    system = torch.zeros(*A.shape[:-2], 3 * n, 3 * n, dtype=torch.float64)
    system[..., :n, :n] = A * dt
    system[..., :n, n : 2 * n] = eye * dt
    system[..., n : 2 * n, 2 * n :] = eye
    return _exponential(system)[..., :n, 2 * n :]


def _matrix(entries: Mapping[str, Tensor], shape: tuple[int, int]) -> Tensor:
    flat = torch.broadcast_tensors(*entries.values()) if entries else ()
    if not flat:
        return torch.zeros(shape, dtype=torch.float64)
    stacked = torch.stack([e.to(torch.float64) for e in flat], -1)
    return stacked.reshape(*stacked.shape[:-1], *shape)


def _cholesky(C: Tensor) -> list[list[Tensor]]:
    # torch's own refuses the zero variance of a noise-free neuron and has no gradient there
    n = C.shape[-1]
    zero = torch.zeros_like(C[..., 0, 0])
    L: list[list[Tensor]] = [[zero] * n for _ in range(n)]
    for j in range(n):
        pivot = C[..., j, j] - sum((L[j][k] ** 2 for k in range(j)), zero)
        positive = pivot > 1e-14 * C[..., j, j].detach().clamp(min=1e-300)
        root = torch.sqrt(torch.where(positive, pivot, 1.0))
        L[j][j] = torch.where(positive, root, 0.0)
        for i in range(j + 1, n):
            rest = C[..., i, j] - sum((L[i][k] * L[j][k] for k in range(j)), zero)
            L[i][j] = torch.where(positive, rest / root, 0.0)
    return L
