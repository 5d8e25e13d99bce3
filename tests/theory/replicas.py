"""Many copies of a small network in one simulation, which costs little more than one: the compiled engine advances
256 neurons of a population at a time. Copies are independent: what one copy does for long, many do for short."""

from typing import Any

import torch
from torch import Tensor

import ranvier as rv


def replicate(net: rv.Network, copies: int) -> rv.Network:
    """`copies` of a network side by side, not connected with each other."""
    many = rv.Network(seed=net.seed)
    for p in net.populations:
        values = {name: _repeat(value, copies) for name, value in p.parameters.items()}
        initial = {name: _repeat(value, copies) for name, value in p.initial.items()}
        many.add(p.neuron, p.size * copies, p.name, initial=initial or None, method=p.method, **values)
    for p in net.projections:
        sources, targets = (
            torch.cat([index + size * k for k in range(copies)])
            for index, size in zip(p.edges(), (p.source.size, p.target.size), strict=True)
        )
        delay = {} if p.synapse.continuous else {"delay": _repeat(p.delay, copies)}
        many.connect(
            p.source.name, p.target.name, weight=_repeat(p.weight, copies), synapse=p.synapse, edges=(sources, targets),
            **delay,
        )  # fmt: skip
    for b in net.backgrounds:
        many.background(b.target.name, _repeat(b.rate, copies), _repeat(b.weight, copies), b.synapse)
    return many


def members(net: rv.Network, copies: int) -> Tensor:
    """(copies, neurons of `net`) where each copy's neurons are among those of `replicate(net, copies)`."""
    copy = torch.arange(copies)[:, None]
    return torch.cat([copies * p.start + p.size * copy + torch.arange(p.size) for p in net.populations], 1)


class Replicas:
    """What a `Recording` of one copy answers, from `copies` of them: `duration` ms each, after `start` ms."""

    def __init__(self, net: rv.Network, copies: int, duration: float, *, start: float = 500.0, **options: Any) -> None:
        whole = rv.simulate(replicate(net, copies), start + duration, **options)
        self.recording, self.copies, self.index = whole.after(start), copies, members(net, copies)

    def rates(self, *, return_error: bool = False) -> Any:
        return self._mean(lambda x: x[self.index], self.recording.rates(return_error=True), return_error)

    def cv(self) -> Tensor:
        return self.recording.cv()[self.index].mean(0)

    def covariance(self, window: float, *, return_error: bool = False) -> Any:
        own = lambda x: x[self.index[:, :, None], self.index[:, None, :]]  # noqa: E731
        return self._mean(own, self.recording.covariance(window, return_error=True), return_error)

    def _mean(self, own: Any, answer: tuple[Tensor, Tensor], return_error: bool) -> Any:
        value, error = map(own, answer)
        mean = value.mean(0)
        return (mean, error.norm(dim=0) / self.copies) if return_error else mean


def _repeat(value: Any, copies: int) -> Any:
    return value.repeat(copies) if isinstance(value, Tensor) and value.dim() else value
