"""A small vision transformer of digits, trained on the spot, once a process."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from ranvier.atlas import digits


def images(x: Tensor) -> Tensor:
    """Pixels (N, 64) as images (N, 1, 8, 8), float32, centred."""
    return (x.float() - 0.3).reshape(-1, 1, 8, 8) * 3


@cache
def vision_transformer(seed: int, neurons: int = 16, steps: int = 250) -> nn.Module:
    """Three layers of `neurons` MLP neurons on patches of 2 × 2."""
    from transformers import ViTConfig, ViTForImageClassification

    torch.manual_seed(seed)
    options: dict[str, Any] = {"num_labels": 10}  # of the base class
    model = ViTForImageClassification(
        ViTConfig(
            hidden_size=24, intermediate_size=neurons, num_hidden_layers=3, num_attention_heads=3, image_size=8,
            patch_size=2, num_channels=1, **options, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        )
    )  # fmt: skip
    data = digits(seed)
    x, y = images(data.x), data.y
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), 5e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=steps)
    model.train()
    for _ in range(steps):
        rows = torch.randint(len(x), (64,), generator=generator)
        loss = nn.functional.cross_entropy(model(x[rows]).logits, y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()
