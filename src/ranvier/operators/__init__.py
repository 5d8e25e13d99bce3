"""Neural operators: networks that map fields to fields and keep their meaning when the grid changes."""

from ranvier.operators import problems
from ranvier.operators.conversion import Operator, convert, quadrature_attention
from ranvier.operators.fourier import FNO, SpectralConvolution
from ranvier.operators.losses import relative_h1, relative_l2
from ranvier.operators.mgno import MgNO
from ranvier.operators.multigrid import VCycle
from ranvier.operators.points import PointIntegral, quadrature_weights
from ranvier.operators.resampling import spectral_resample

__all__ = [
    "FNO", "MgNO", "Operator", "PointIntegral", "SpectralConvolution", "VCycle", "convert", "problems",
    "quadrature_attention", "quadrature_weights", "relative_h1", "relative_l2", "spectral_resample",
]  # fmt: skip
