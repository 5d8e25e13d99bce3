"""Spikes that come back to their layer through a module of any kind."""

from __future__ import annotations

from torch import nn

from ranvier._checks import instance
from ranvier.nn.graph import Graph
from ranvier.nn.sequential import is_cell


def feed_back(cell: nn.Module, module: nn.Module) -> Graph:
    """A cell whose input is x[t] + module(y[t − 1]), y its output, and x[0] at first, without the module's bias:
    recurrence by any module, such as a convolution (snnTorch's RLeaky with `conv2d_channels`).

    `LIF(n, m, recurrent=True)` has its recurrent matrix within its compiled loop and is faster; this goes step by step.

    Parameters
    ----------
    cell : neurons whose output has the shape of their input, such as `rv.nn.LIF((8, 16, 16))`; feed-forward weights
        come before them, in an `rv.nn.Sequential`.
    module : from the output's shape (B, ...) to the same; it may be a cell of its own.

    Returns an `rv.nn.Graph` with the nodes "cell" and "feedback". Raises TypeError for a cell or a module that is none.

    >>> layer = rv.nn.feed_back(rv.nn.LIF((8, 6, 6)), torch.nn.Conv2d(8, 8, 3, padding=1))
    >>> model = rv.nn.Sequential(torch.nn.Conv2d(2, 8, 3, padding=1), layer)
    >>> model(torch.rand(5, 4, 2, 6, 6))[0].shape
    torch.Size([5, 4, 8, 6, 6])
    """
    if not is_cell(cell):
        raise TypeError(f"cell is {type(cell).__name__}; expected a cell of rv.nn, such as rv.nn.LIF((8, 6, 6))")
    instance(module, nn.Module, "module", "a torch.nn.Module, such as nn.Conv2d(8, 8, 3, padding=1)")
    edges = [("x", "cell"), ("cell", "y"), ("cell", "feedback"), ("feedback", "cell")]
    return Graph({"cell": cell, "feedback": module}, edges)


__all__ = ["feed_back"]
