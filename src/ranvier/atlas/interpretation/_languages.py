"""Six languages, and a small language model of them that is trained on the spot, once a process."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from ranvier.atlas import dataset

LANGUAGES = ("en", "es", "de", "fr", "hi", "zh")
LETTERS = 24  # of the drawn languages' common alphabet
LENGTH = 32  # tokens a text


@cache
def corpus(seed: int, drawn: bool) -> dict[str, Tensor]:
    """Token numbers of each language, (texts, LENGTH): of drawn languages, or UTF-8 bytes of RANVIER_DATA/text.

    Drawn languages share an alphabet, and each has its own letters likely to follow one another.
    """
    if drawn:
        generator = torch.Generator().manual_seed(seed)
        return {name: _drawn(generator) for name in LANGUAGES}
    folder = dataset("text")
    if folder is None:
        return {}
    languages = {}
    for name in LANGUAGES:
        lines = (folder / f"{name}_pud-ud-test.conllu").read_text("utf-8").splitlines()
        text = "\n".join(line.removeprefix("# text = ") for line in lines if line.startswith("# text = ")).encode()
        whole = len(text) // LENGTH
        languages[name] = torch.tensor(list(text[: whole * LENGTH])).reshape(whole, LENGTH)
    return languages


def _drawn(generator: torch.Generator, texts: int = 500) -> Tensor:
    chance = torch.distributions.Dirichlet(torch.full((LETTERS,), 0.08))
    torch.manual_seed(int(torch.randint(2**31, (1,), generator=generator)))
    following = chance.sample((LETTERS,)) * 0.95 + 0.05 / LETTERS
    letters = [torch.randint(LETTERS, (texts,), generator=generator)]
    for _ in range(LENGTH - 1):
        letters.append(torch.multinomial(following[letters[-1]], 1, generator=generator)[:, 0])
    return torch.stack(letters, 1)


def split(texts: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """To train on, to choose neurons on, to evaluate on: 60, 20 and 20 % of every language."""
    cuts = {name: (len(x) * 3 // 5, len(x) * 4 // 5) for name, x in texts.items()}
    return (
        {name: x[: cuts[name][0]] for name, x in texts.items()},
        {name: x[cuts[name][0] : cuts[name][1]] for name, x in texts.items()},
        {name: x[cuts[name][1] :] for name, x in texts.items()},
    )


def batches(texts: dict[str, Tensor], size: int = 120) -> dict[str, list[dict[str, Tensor]]]:
    return {name: [{"input_ids": part} for part in x.split(size)] for name, x in texts.items()}


def model_of(vocabulary: int, seed: int, layers: int = 2, width: int = 32, neurons: int = 128) -> nn.Module:
    """An untrained Llama."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary, hidden_size=width, intermediate_size=neurons, num_hidden_layers=layers,
            num_attention_heads=4, max_position_embeddings=LENGTH, bos_token_id=None, eos_token_id=None,
        )
    )  # fmt: skip


def train(
    model: nn.Module, texts: dict[str, Tensor], steps: int, seed: int, batch: int = 48, rate: float = 1e-2
) -> None:
    """Next-token training by AdamW on all languages together."""
    pool = torch.cat(list(texts.values()))
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    model.train()
    for _ in range(steps):
        x = pool[torch.randint(len(pool), (batch,), generator=generator)]
        loss = nn.functional.cross_entropy(model(input_ids=x).logits[:, :-1].flatten(0, 1), x[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    model.eval()


@cache
def trained(seed: int, drawn: bool, steps: int) -> nn.Module:
    """The six-language model; whoever changes it works on a copy."""
    texts = corpus(seed, drawn)
    model = model_of(LETTERS if drawn else 256, seed)
    train(model, split(texts)[0], steps, seed)
    return model
