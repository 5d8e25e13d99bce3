"""What several examples share: sequences cut out of a series, a network to compare with, and what is printed."""

from torch import Tensor, nn


def windows(series: Tensor, length: int, stride: int = 1) -> Tensor:
    """series (T, n) -> (B, length, n), a new one every `stride` rows."""
    return series.unfold(0, length, stride).transpose(1, 2).contiguous()


def time_first(x: Tensor) -> Tensor:
    """(B, T, n) -> (T, B, n)."""
    return x.transpose(0, 1).contiguous()


class GRU(nn.Module):
    """A gated recurrent unit with a readout, of the first `inputs` features: it is not told the time."""

    def __init__(self, inputs: int, units: int, outputs: int) -> None:
        super().__init__()
        self.gru, self.readout = nn.GRU(inputs, units), nn.Linear(units, outputs)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (T, B, inputs or more) -> y (T, B, outputs), state."""
        h, state = self.gru(x[..., : self.gru.input_size])
        return self.readout(h), state


def print_history(history: list[dict[str, float]]) -> None:
    """A line an epoch."""
    for epoch, metrics in enumerate(history, 1):
        print(f"epoch {epoch}:", ", ".join(f"{name} {value:.5g}" for name, value in metrics.items()), flush=True)
