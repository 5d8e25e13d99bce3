"""Functions of one variable, with sound lines below and above them on any interval: one kind a file."""

from ranvier.verify.functions._function import Function, Slopes
from ranvier.verify.functions.piecewise import Abs, Clip, LeakyRelu, Step
from ranvier.verify.functions.powers import Elu, Exp, Log, Power, Reciprocal, ReciprocalSqrt, Softplus, Sqrt
from ranvier.verify.functions.sigmoidal import Erf, Sigmoid, Tanh
from ranvier.verify.functions.waves import Gelu, GeluTanh, Silu, Sine

__all__ = [
    "Abs", "Clip", "Elu", "Erf", "Exp", "Function", "Gelu", "GeluTanh", "LeakyRelu", "Log", "Power", "Reciprocal",
    "ReciprocalSqrt", "Sigmoid", "Silu", "Sine", "Slopes", "Softplus", "Sqrt", "Step", "Tanh",
]  # fmt: skip
