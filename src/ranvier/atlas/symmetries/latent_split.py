"""First integrals from pictures: a latent state split into what a film conserves and what changes in it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from ranvier.atlas import COLOURS, AtLeast, AtMost, Claim, Experiment, Size, canvas, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, TIMES, FILMS = 20, 12, 300


class Films(NamedTuple):
    """x (films, times, pixels): two frames a row; amplitude and thickness (films,), phase (films, times)."""

    x: Tensor
    amplitude: Tensor
    thickness: Tensor
    phase: Tensor


def films(seed: int, frames: int) -> Films:
    """A bar that swings along a line, at an amplitude and of a thickness that last: two frames a quarter period apart
    show where it is and how fast; the same frame twice (frames = 1) only where."""
    generator = torch.Generator().manual_seed(seed)
    amplitude, thickness, start = torch.rand(3, FILMS, generator=generator)
    amplitude, thickness = 0.25 + 0.6 * amplitude, 0.1 + 0.12 * thickness
    phase = 2 * torch.pi * (start[:, None] + torch.arange(TIMES) / TIMES * 2.3)
    grid = torch.linspace(-1, 1, WIDTH)

    def frame(angle: Tensor) -> Tensor:
        place = amplitude[:, None] * torch.cos(angle)
        return torch.exp(-(((grid - place[..., None]) / thickness[:, None, None]) ** 2))

    second = phase + torch.pi / 2 if frames == 2 else phase
    return Films(torch.cat([frame(phase), frame(second)], 2), amplitude, thickness, phase)


class SplitAutoencoder(nn.Module):
    """Pixels → conserved (2) and changing (2), and back."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(2 * WIDTH, 96), nn.SiLU(), nn.Linear(96, 4))
        self.decoder = nn.Sequential(nn.Linear(4, 96), nn.SiLU(), nn.Linear(96, 2 * WIDTH))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        latent = self.encoder(x)
        return latent[..., :2], latent[..., 2:]

    def decode(self, conserved: Tensor, changing: Tensor) -> Tensor:
        return self.decoder(torch.cat([conserved, changing], -1))


@lru_cache(maxsize=8)
def trained(seed: int, size: Size, frames: int, swap: bool) -> tuple[Tensor, Tensor, Films]:
    """Latents of films that were not trained on. Each frame is drawn from its own changing part, and the conserved part
    of another time of its film."""
    torch.manual_seed(seed)
    data, model = films(seed, frames), SplitAutoencoder()
    train = data.x[:200]
    steps = {"small": 700, "full": 4000}[size]
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for k in range(steps):
        film = torch.randint(len(train), (128,))
        one, other = torch.randint(TIMES, (2, 128))
        conserved, _ = model.encode(train[film, other if swap else one])
        _, changing = model.encode(train[film, one])
        loss = (model.decode(conserved, changing) - train[film, one]).square().mean()
        # the changing part is drawn to a circle, gradually: at once, it would be wound twice round it or folded
        pull = 0.03 * min(1.0, max(0.0, k / steps - 0.2) / 0.3)
        loss = loss + pull * (changing.square().sum(1) - 1).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        conserved, changing = model.encode(data.x[200:])
    return conserved, changing, Films(*(v[200:] for v in data))


def measure(seed: int, size: Size, frames: int = 2, swap: bool = True, shuffled: bool = False) -> dict[str, Any]:
    """What each half of the latent state tells of amplitude, thickness and phase, and how constant the first is.

    frames: that the encoder sees at once. swap: whether the conserved part comes from another time of the film.
    shuffled: whether the phases are of other times than the pictures.
    """
    conserved, changing, data = trained(seed, size, frames, swap)
    within = (conserved - conserved.mean(1, keepdim=True)).square().sum()
    whole = (conserved - conserved.mean((0, 1))).square().sum()
    amplitude, thickness = (v[:, None].expand(-1, TIMES).reshape(-1) for v in (data.amplitude, data.thickness))
    phase = (data.phase.roll(3, 1) if shuffled else data.phase).reshape(-1)
    c, z = conserved.reshape(-1, 2), changing.reshape(-1, 2)
    return {
        "constancy": float(within / whole),
        "amplitude": explained(c, amplitude),
        "thickness": explained(c, thickness),
        "phase": min(explained(z, phase.cos()), explained(z, phase.sin())),
        "mixed": max(explained(c, phase.cos()), explained(c, phase.sin())),
        "leak": explained(z, amplitude),  # .2: a circle of another size for each amplitude; no claim
        "c": conserved.numpy(),
        "colour": data.amplitude.numpy(),
    }


def explained(latent: Tensor, target: Tensor) -> float:
    """Share of the target's variance that polynomials of degree 3 of a latent (P, 2) explain, on the second half."""
    a, b = ((latent - latent.mean(0)) / latent.std(0).clamp_min(1e-9)).double().T
    X = torch.stack([a**i * b**j for i in range(4) for j in range(4 - i)], 1)
    half, y = len(X) // 2, target.double()
    w = torch.linalg.lstsq(X[:half], y[:half, None], driver="gelsd").solution[:, 0]
    return float(1 - (X[half:] @ w - y[half:]).square().mean() / y[half:].var())


def plane(material: dict[str, Any]) -> Figure:
    """The conserved part of each film at all times."""
    figure, axis = canvas(3.6, 3)
    for film, colour in zip(material["c"], material["colour"], strict=True):
        axis.plot(*film.T, ".", ms=2, color=COLOURS[0] if colour < 0.55 else COLOURS[1])
    axis.set(xlabel="first conserved", ylabel="second conserved", xticks=[], yticks=[])
    return figure


register(
    Experiment(
        name="latent_split",
        title="What persists in a film",
        paper="The seed text on communication: a semantic space decouples what is preserved from what changes; S. J. "
        "Wetzel et al. (2020). Discovering symmetry invariants and conserved quantities by interpreting Siamese neural "
        "networks. Phys. Rev. Research 2:033499.",
        doi="10.1103/PhysRevResearch.2.033499",
        summary="A bar swings in a film. An autoencoder that draws each frame from the conserved half of its state at "
        "another time, and the changing half at this one, finds the energy and the thickness in the one and the phase "
        "in the other. From single frames, without the speed, it cannot.",
        claims=(
            Claim(
                "The conserved half hardly changes within a film (share of its variance).",
                "a first integral is constant along a motion", "constancy", AtMost(0.0), 0.05,
                "a twentieth of the variance; seeds 10 to 14: below .003", {"swap": False},
                ours=True,
            ),
            Claim(
                "It holds the amplitude, hence the energy,",
                "H = amplitude²/2", "amplitude", AtLeast(0.9), 0.0, "seeds 10 to 14: above .99", {"frames": 1},
                ours=True,
            ),
            Claim(
                "and the thickness.",
                "it lasts", "thickness", AtLeast(0.8), 0.0,
                "nine deviations (.02) below .98, the mean of seeds 10 to 14", {"swap": False},
                ours=True,
            ),
            Claim(
                "The changing half holds the phase,",
                "it changes", "phase", AtLeast(0.5), 0.0, "2.6 deviations (.11) below .79, the mean of seeds 10 to 14",
                {"shuffled": True},
                ours=True,
            ),
            Claim(
                "of which the conserved half knows nothing.",
                "it is constant", "mixed", AtMost(0.1), 0.0, "a tenth; seeds 10 to 14: below .003",
                {"swap": False},
                ours=True,
            ),
        ),
        measure=measure,
        pictures={"The conserved half of a hundred films at all times, by amplitude.": plane},
    )
)  # fmt: skip
