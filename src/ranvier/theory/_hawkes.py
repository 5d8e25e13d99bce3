"""`hawkes`: rates, covariances and spectra of networks of Hawkes processes and Poisson GLMs."""

from __future__ import annotations

from typing import Any

from ranvier.synapses import Synapse
from ranvier.theory.network.hawkes import hawkes_arrays
from ranvier.theory.prediction import Prediction


def hawkes(
    base: Any, weight: Any, *, kernel: Synapse | None = None, delay: Any = 0.0, link: str = "identity"
) -> Prediction:
    """A `Prediction` of N point processes of intensities link(base_i + sum_j W_ij (h * s_j)(t - d_ij)) in Hz, s_j the
    spike trains in Hz and h the kernel, of area 1.

    Link "identity": linear Hawkes processes (Hawkes 1971, Biometrika 58:83). Rates (I - W)^-1 base, spectra
    (I - H)^-1 diag(r) (I - H)^-† and all that follows from them are exact, as long as intensities stay above 0.
    "exp" or "softplus": a Poisson GLM, linear about its mean rates; `report` has the expected error.

    Parameters
    ----------
    base
        (N,) Hz; of a GLM the argument of its link, whose value is in Hz.
    weight
        (N, N) [target, source]: the mean number of spikes that a spike of the source adds (identity); otherwise, in
        the argument per Hz: a filter w e^{-t/tau} of a spike is W = w tau/1000, tau in ms. 0 is no connection.
    kernel
        A current synapse of the library, by default `Exponential(tau=5.0)`.
    delay
        ms, a number or (N, N).
    link
        "identity", "exp" or "softplus".

    All questions but `cv` are answered; differentiable in base, weight, delay and the kernel's time constants. Raises
    ValueError for shapes that do not fit, rates below 0 and spectral radii of 1 or more.

    >>> from ranvier.theory import hawkes
    >>> prediction = hawkes([10.0, 5.0], [[0.0, 0.4], [-0.2, 0.0]])
    >>> prediction.rates().round(decimals=3).tolist()
    [11.111, 2.778]
    >>> prediction.covariance(100.0).shape
    torch.Size([2, 2])
    """
    net, assembly, point, report = hawkes_arrays(base, weight, kernel, delay, link)
    prediction = Prediction(net, assembly, point, report)
    prediction.require_stable()
    return prediction
