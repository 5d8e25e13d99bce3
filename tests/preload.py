"""What most tests' processes import, once for all of them: the server of `tests.processes` imports this."""

import matplotlib.pyplot
import numba
import scipy.signal
import scipy.stats
import sklearn.linear_model
import sympy
import torch._dynamo
import torch.nn.parallel

import ranvier as rv
import ranvier.cli
import ranvier.cli.runs
import ranvier.report

torch.set_num_threads(1)
numba.njit(lambda x: x + 1)(1)  # what the compiler itself loads at its first use
USED = (numba, sympy, matplotlib, scipy, sklearn, rv.simulate, rv.predict, rv.learners.BPTT, rv.nn.LIF, rv.brains)
