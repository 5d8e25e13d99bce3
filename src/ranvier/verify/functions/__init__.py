"""Functions of one variable, with sound lines below and above them on any interval: one kind a file."""

from ranvier.verify.functions._function import Function, LineSlopes
from ranvier.verify.functions.piecewise import Abs, Clip, Heaviside, LeakyRelu
from ranvier.verify.functions.powers import Elu, Exp, Logarithm, Power, Reciprocal, ReciprocalSqrt, Softplus, Sqrt
from ranvier.verify.functions.sigmoidal import Erf, HyperbolicTangent, Logistic
from ranvier.verify.functions.waves import Gelu, GeluTanh, Silu, Sine

__all__ = [
    "Abs",
    "Clip",
    "Elu",
    "Erf",
    "Exp",
    "Function",
    "Gelu",
    "GeluTanh",
    "Heaviside",
    "HyperbolicTangent",
    "LeakyRelu",
    "LineSlopes",
    "Logarithm",
    "Logistic",
    "Power",
    "Reciprocal",
    "ReciprocalSqrt",
    "Silu",
    "Sine",
    "Softplus",
    "Sqrt",
]  # fmt: skip
