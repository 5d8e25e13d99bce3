"""A survey of generative networks: the discriminator's density ratio, the variational bound, and autoencoders."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ranvier.atlas import COLOURS, AtMost, Claim, Experiment, Size, canvas, digits, register

if TYPE_CHECKING:
    from matplotlib.figure import Figure

F64 = torch.float64
LATENT = 6


def measure(
    seed: int, size: Size, balanced: bool = True, beta: float = 1.0, hidden: int = LATENT, discriminate: bool = True
) -> dict[str, Any]:
    """A discriminator beside the true ratio, a generator's moments, an ELBO beside its bound, and PCA's error.

    balanced: whether real and generated examples come in equal numbers. beta: of the divergence in the ELBO.
    hidden: neurons of the linear autoencoder. discriminate: whether the discriminator learns beside the generator.
    """
    ratio, curve = density_ratio(seed, balanced)
    mean, deviation = gan(seed, discriminate)
    bound = elbo(seed, beta)
    return {
        "ratio": ratio,
        "mean": mean,
        "deviation": deviation,
        "bound": bound["worst"],
        "gap": bound["gap"],
        "autoencoder": autoencoder(seed, hidden),
        "curve": curve,
    }


@lru_cache(maxsize=4)
def density_ratio(seed: int, balanced: bool) -> tuple[float, Any]:
    """Root mean square error of a discriminator's logit for log p/q of p = N(0, 1), q = N(1, 1.5²), under p."""
    generator = started(seed)
    net = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 1))
    optimizer = torch.optim.Adam(net.parameters(), 1e-2, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 400)
    for _ in range(400):
        p = torch.randn(1024, 1, generator=generator)
        q = 1 + 1.5 * torch.randn(1024 if balanced else 256, 1, generator=generator)
        scores = net(torch.cat([p, q]))[:, 0]
        loss = F.binary_cross_entropy_with_logits(scores, torch.cat([torch.ones(len(p)), torch.zeros(len(q))]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        x = torch.randn(4000, 1, generator=generator)
        error = (net(x) - log_ratio(x)).square().mean().sqrt()
        grid = torch.linspace(-3, 3, 61)[:, None]
        return float(error), (grid[:, 0].numpy(), net(grid)[:, 0].numpy(), log_ratio(grid)[:, 0].numpy())


def started(seed: int) -> torch.Generator:
    """Both random streams begun again, so that a part does not depend on what ran before it."""
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


def images(seed: int) -> Tensor:
    x = digits(seed).x[:600]
    return x - x.mean(0)


def log_ratio(x: Tensor) -> Tensor:
    return -0.5 * x * x + 0.5 * ((x - 1) / 1.5) ** 2 + math.log(1.5)


@lru_cache(maxsize=4)
def gan(seed: int, discriminate: bool) -> tuple[float, float]:
    """Mean and standard deviation that a linear generator learns of N(2, .5²) against a quadratic discriminator."""
    generator = started(seed)
    shift, scale = torch.zeros((), requires_grad=True), torch.ones((), requires_grad=True)
    judge = nn.Linear(2, 1)
    makers = torch.optim.Adam([shift, scale], 1e-2, betas=(0.5, 0.9), fused=True)
    judges = torch.optim.Adam(judge.parameters(), 5e-2, betas=(0.5, 0.9), weight_decay=1e-3, fused=True)
    history = []
    for k in range(900):
        real = 2 + 0.5 * torch.randn(256, 1, generator=generator)
        fake = shift + scale * torch.randn(256, 1, generator=generator)
        if discriminate:
            scores = [judge(torch.cat([v, v * v], 1)) for v in (real, fake.detach())]
            loss = F.softplus(-scores[0]).mean() + F.softplus(scores[1]).mean()
            judges.zero_grad()
            loss.backward()
            judges.step()
        loss = F.softplus(-judge(torch.cat([fake, fake * fake], 1))).mean()
        makers.zero_grad()
        loss.backward()
        makers.step()
        if k >= 600:
            history.append((float(shift.detach()), abs(float(scale.detach()))))
    mean, deviation = torch.tensor(history).mean(0).tolist()
    return mean, deviation


def exact_likelihood(x: Tensor) -> tuple[Tensor, Tensor]:
    """log p (B,) of probabilistic PCA at its optimum (Tipping & Bishop 1999), and the data's spectrum."""
    values, axes = torch.linalg.eigh(x.T @ x / len(x))
    values, axes = values.flip(0), axes.flip(1)
    noise = values[LATENT:].mean()
    spread = torch.cat([values[:LATENT], noise.expand(len(values) - LATENT)])
    scores = x @ axes
    log_p = -0.5 * ((scores**2 / spread).sum(1) + spread.log().sum() + len(values) * math.log(2 * math.pi))
    return log_p, values


@lru_cache(maxsize=4)
def elbo(seed: int, beta: float) -> dict[str, float]:
    """How far the ELBO of a linear VAE lies above log p of the best linear model, while it trains, and below at its
    end; a nat an example. The decoder is x = W z + noise, the encoder q(z|x) = N(V x, diag s²)."""
    started(seed)
    x = images(seed)
    likelihood, _ = exact_likelihood(x)
    d = x.shape[1]
    W = (0.1 * torch.randn(d, LATENT, dtype=F64)).requires_grad_()
    V = (0.1 * torch.randn(d, LATENT, dtype=F64)).requires_grad_()
    log_s, log_noise = torch.zeros(LATENT, dtype=F64).requires_grad_(), torch.zeros((), dtype=F64).requires_grad_()
    parameters, course = [W, V, log_s, log_noise], []

    def loss() -> Tensor:
        z, s2, noise = x @ V, (2 * log_s).exp(), (2 * log_noise).exp()
        # the mean over q(z|x) in closed form
        square = (x - z @ W.T).square().sum(1) + (W.square().sum(0) * s2).sum()
        reconstruction = -0.5 * (square / noise + d * (2 * log_noise + math.log(2 * math.pi)))
        divergence = 0.5 * (z.square() + s2 - 2 * log_s - 1).sum(1)
        value = (reconstruction - beta * divergence).mean()
        course.append(float(value.detach()))
        return -value

    minimise(loss, parameters)
    best = float(likelihood.mean())
    return {"worst": max(course) - best, "gap": best - max(course[-20:])}


def minimise(loss: Callable[[], Tensor], parameters: list[Tensor], most: int = 400) -> None:
    """By a quasi-Newton method, to rounding or `most` evaluations."""
    optimizer = torch.optim.LBFGS(
        parameters, max_iter=most, max_eval=most, history_size=20, tolerance_grad=1e-7, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    optimizer.step(closure)


@lru_cache(maxsize=4)
def autoencoder(seed: int, hidden: int) -> float:
    """Squared error of a linear autoencoder after training, over that of as many principal components as LATENT."""
    started(seed)
    x = images(seed)
    encode = (0.1 * torch.randn(x.shape[1], hidden, dtype=F64)).requires_grad_()
    decode = (0.1 * torch.randn(hidden, x.shape[1], dtype=F64)).requires_grad_()
    minimise(lambda: (x @ encode @ decode - x).square().sum(1).mean(), [encode, decode])
    with torch.no_grad():
        error = (x @ encode @ decode - x).square().sum(1).mean()
    return float(error / exact_likelihood(x)[1][LATENT:].sum())


def discriminator(material: dict[str, Any]) -> Figure:
    """A trained logit beside the log ratio."""
    figure, axis = canvas(4, 2.8)
    grid, logit, truth = material["curve"]
    axis.plot(grid, truth, color=COLOURS[5], lw=3, alpha=0.5, label="log p/q")
    axis.plot(grid, logit, color=COLOURS[0], label="discriminator")
    axis.set(xlabel="x", ylabel="logit")
    axis.legend()
    return figure


register(
    Experiment(
        name="survey_generative",
        title="A survey: generative networks",
        paper="C. Seitz (2021). Stochastic computation in recurrent networks of spiking neurons (slides); I. "
        "Goodfellow et al. (2014). Generative adversarial nets. NeurIPS 27; D. P. Kingma and M. Welling (2014). "
        "Auto-encoding variational Bayes. ICLR; P. Baldi and K. Hornik (1989). Neural Netw. 2:53-58; M. E. Tipping and "
        "C. M. Bishop (1999). J. R. Stat. Soc. B 61:611-622.",
        summary="A discriminator computes a ratio of densities, a variational autoencoder a bound of the likelihood, a "
        "linear autoencoder principal components: each held against the closed form.",
        claims=(
            Claim(
                "The best discriminator's logit is log p/q.",
                "Goodfellow et al. (2014), proposition 1", "ratio", AtMost(0.0), 0.15,
                "400 batches of 1024; ten seeds lie between .05 and .11", {"balanced": False},
            ),
            Claim(
                "The generator against it learns the population's mean,",
                "Goodfellow et al. (2014), theorem 1", "mean", 2.0, 0.1, "jitter: ten seeds lie within .02",
                {"discriminate": False},
            ),
            Claim(
                "and its spread.",
                "Goodfellow et al. (2014), theorem 1", "deviation", 0.5, 0.1, "jitter: ten seeds lie within .06",
                {"discriminate": False},
            ),
            Claim(
                "Never does the variational bound exceed the likelihood of the best linear model.",
                "Kingma & Welling (2014), eq. 2", "bound", AtMost(0.0), 1e-9, "rounding", {"beta": 0.5},
            ),
            Claim(
                "At its optimum it reaches it: a linear VAE is probabilistic PCA.",
                "Tipping & Bishop (1999)", "gap", 0.0, 0.05, "400 evaluations; a nat of some 60", {"beta": 2.0},
            ),
            Claim(
                "A linear autoencoder errs as principal components do.",
                "Baldi & Hornik (1989)", "autoencoder", 1.0, 0.01, "400 evaluations", {"hidden": 5},
            ),
        ),
        measure=measure,
        pictures={"A discriminator beside the ratio of densities.": discriminator},
    )
)  # fmt: skip
