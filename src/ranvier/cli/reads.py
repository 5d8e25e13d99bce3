"""What `ranvier read` does: a language model from its folder, texts from files, a page about its neurons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier._checks import count, printable, unique
from ranvier._text import plural
from ranvier.files.atomic import require_writable, write_json
from ranvier.files.manifest import manifest
from ranvier.files.reading import read_text

if TYPE_CHECKING:
    import torch

    from ranvier.interpret import FeatureNeurons, LanguageNeurons
    from ranvier.report import Section

RECORDED = Path("activations/activations.json")  # in the page's folder, from the first segment on
BATCH, LENGTH = 16, 128  # texts at a time, and tokens of each that are read
SURE, DRIVEN, SHOWN = 24, 8, 4  # neurons in the table, of these with texts, and texts of each
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#8a939c"


@dataclass(frozen=True)
class Texts:
    """Texts of one file; `name` is a language where one was given, else the file's name."""

    name: str
    language: bool
    lines: tuple[str, ...]


def read_texts(arguments: Sequence[str], most: int) -> list[Texts]:
    """Files of texts, one a line, given as FILE or LANGUAGE=FILE; the first `most` lines that are not empty.

    Raises FileNotFoundError without a file, ValueError for one without texts and for a language given twice.
    """
    files = []
    for argument in arguments:
        name, mark, path = argument.partition("=")
        if not mark or not name.isidentifier():
            name, path = "", argument
        lines = [line.strip() for line in read_text(path, "texts, one a line").splitlines()]
        lines = [line for line in lines if line][:most]
        if not lines:
            raise ValueError(f"{path} has no text; expected one a line.")
        files.append(Texts(name or printable(Path(path).name, "a file's name"), bool(name), tuple(lines)))
    unique([one.name for one in files if one.language], "the language")
    return files


def page_folder(which: str) -> Path:
    """out/NAME, by the model's folder or its name."""
    return Path("out") / (Path(which).resolve().name if Path(which).is_dir() else which)


def read(
    which: str,
    data: Sequence[str] = (),
    out: Path | None = None,
    *,
    texts: int = 200,
    say: Callable[[str], None] = lambda text: None,
) -> Path:
    """Write a page about a language model's neurons, and return its path.

    which: a folder of safetensors, or a stored model's name. data: files of texts, as of `read_texts`. out: a folder;
    out/NAME by default. texts: lines read of each file. Errors are those of `interpret.read_model` and `read_texts`.
    """
    from ranvier.interpret import feature_neurons, read_model
    from ranvier.report import write_sections

    files = read_texts(data, count(texts, "texts", 4))
    model, tokenizer = read_model(which)
    folder = out if out is not None else page_folder(which)
    name = page_folder(which).name
    require_writable(folder / "report.html", folder / "manifest.json")
    if tokenizer.pad_token is None and files:
        if tokenizer.eos_token is None:
            raise ValueError(f"the tokenizer of {which} has no token to pad with; expected one: set its pad_token.")
        tokenizer.pad_token = tokenizer.eos_token
    say(f"decoding the neurons of {name}")
    decoded = {part: feature_neurons(model, part) for part in ("read", "write")}  # type: ignore[arg-type]
    spell = Speller(tokenizer)
    sections = [words_section(decoded, spell)]
    if files:
        say(f"recording {plural(sum(len(one.lines) for one in files), 'text')}")
        lines = [line for one in files for line in one.lines]
        sections.append(driving_section(model, tokenizer, decoded["read"], lines, spell, (folder / RECORDED).parent))
    languages = [one for one in files if one.language]
    if len(languages) > 1:
        say(f"comparing {len(languages)} languages")
        sections.append(language_section(model, tokenizer, languages))
    parameters = sum(p.numel() for p in model.parameters())
    what = manifest(model=name, texts={one.name: len(one.lines) for one in files})
    write_json(folder / "manifest.json", what)
    return write_sections(
        folder / "report.html",
        sections,
        title=f"The neurons of {name}",
        summary="What the neurons of its MLPs read and write, in the words of its vocabulary"
        + (", which texts drive them" if files else "")
        + (", and which belong to one language." if len(languages) > 1 else "."),
        highlights=[
            (str(len(decoded["read"].layers)), "layers"),
            (f"{decoded['read'].size:,}".replace(",", "\u202f"), "neurons"),
            (f"{parameters / 1e6:.3g} M", "parameters"),
            (f"{sum(len(one.lines) for one in files)}", "texts read"),
        ],
        citations=[
            "T. Davies (2025). Decoding specialised feature neurons in LLMs with the final projection layer. "
            "arXiv 2501.02688.",
            *(["T. Tang et al. (2024). Language-specific neurons. ACL 2024."] if len(languages) > 1 else []),
        ],
        manifest=what,
    )


class Speller:
    """Tokens as people can read them: spaces marked, control characters spelt out."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def __call__(self, token: int) -> str:
        text = str(self.tokenizer.decode([token]))
        return text.replace(" ", "\u00b7").replace("\n", "\u21b5") or "(nothing)"


def words_section(decoded: dict[str, FeatureNeurons], spell: Speller) -> Section:
    from ranvier.report import Picture, Section, Table

    reads, writes = decoded["read"], decoded["write"]
    rows = []
    for layer, neuron in surest(reads, SURE):
        words = [" ".join(spell(int(t)) for t in one.tokens[layer][neuron, :3]) for one in (reads, writes)]
        share = float(reads.probabilities[layer][neuron, 0] / reads.probabilities[layer][:, 0].median())
        rows.append((str(layer), str(neuron), *words, f"{share:.1f}"))
    return Section(
        "Neurons in words",
        (
            "A neuron's input weights are a direction that it looks for in the stream between layers, its output "
            "weights one that it adds there. The output embedding turns both into words. The table shows the neurons "
            "whose first word is surest, at most two a layer.",
        ),
        (
            Picture(
                sureness({name: one.probabilities for name, one in decoded.items()}),
                "Probability of the first word by layer: the median neuron and the surest one, of what neurons read "
                "(blue) and write (orange).",
            ),
            Table(
                ("layer", "neuron", "reads", "writes", "sureness"),
                rows,
                "Sureness: the first word's probability over that of the layer's median neuron. A dot is a space.",
            ),
        ),
    )


def surest(decoded: FeatureNeurons, number: int) -> list[tuple[int, int]]:
    """(layer, neuron), the surest of all layers by sureness relative to their layer's median, at most two a layer."""
    rows = []
    for layer, probabilities in enumerate(decoded.probabilities):
        first = probabilities[:, 0] / probabilities[:, 0].median()
        rows += [(float(first[n]), layer, int(n)) for n in first.argsort(descending=True)[:2]]
    return [(layer, neuron) for _, layer, neuron in sorted(rows, reverse=True)[:number]]


def sureness(probabilities: dict[str, Sequence[torch.Tensor]]) -> Any:
    figure, axes = _canvas(7.5, 2.8)
    for colour, (name, layers) in zip((BLUE, ORANGE), probabilities.items(), strict=True):
        first = [one[:, 0] for one in layers]
        axes.plot([float(one.median()) for one in first], color=colour, label=f"{name}s: median")
        axes.plot([float(one.max()) for one in first], color=colour, ls=":", marker=".", label=f"{name}s: surest")
    axes.set(xlabel="layer", ylabel="probability", ylim=(0, None))
    axes.legend(frameon=False, fontsize=8)
    return figure


def driving_section(
    model: Any, tokenizer: Any, decoded: FeatureNeurons, lines: Sequence[str], spell: Speller, folder: Path
) -> Section:
    from ranvier.interpret import activations, exemplars, mlps
    from ranvier.report import Section, Table

    chosen = surest(decoded, DRIVEN)
    blocks = mlps(model)
    layers = [blocks[k].neurons for k in sorted({layer for layer, _ in chosen})]
    batches = encoded(tokenizer, lines)
    record = activations(model, batches, layers, folder, progress=True)
    ids = [row[mask.bool()] for batch in batches for row, mask in zip(batch["input_ids"], batch["attention_mask"])]
    rows = []
    for layer, neuron in chosen:
        units = exemplars(record, blocks[layer].neurons.name, top=min(SHOWN, len(lines)))
        for rank, example in enumerate(units.examples[neuron].tolist()):
            peak = int(np.nanargmax(units.maps[neuron, rank].numpy()))
            label = f"layer {layer}, neuron {neuron}" if rank == 0 else ""
            word = spell(int(decoded.tokens[layer][neuron, 0])) if rank == 0 else ""
            value = f"{float(units.values[neuron, rank]):.2f}"
            rows.append((label, word, value, snippet(tokenizer, ids[example], peak)))
    return Section(
        "What drives them",
        ("The texts in which the surest neurons are most active, and «the token» at which they are.",),
        (Table(("neuron", "reads", "activation", "text"), rows, f"Of {plural(len(lines), 'text')}."),),
    )


def snippet(tokenizer: Any, ids: torch.Tensor, peak: int) -> str:
    """Some twelve tokens on either side of one that is marked."""
    low, high = max(0, peak - 12), min(len(ids), peak + 13)
    pieces = ids[low:peak], ids[peak : peak + 1], ids[peak + 1 : high]
    before, token, after = (tokenizer.decode(piece) for piece in pieces)
    return f"{'…' * (low > 0)}{before}«{token}»{after}{'…' * (high < len(ids))}"


def encoded(tokenizer: Any, lines: Sequence[str]) -> list[dict[str, torch.Tensor]]:
    """Batches of texts, each cut to LENGTH tokens."""
    options: dict[str, Any] = {"padding": True, "truncation": True, "max_length": LENGTH, "return_tensors": "pt"}
    batches = [tokenizer(list(lines[k : k + BATCH]), **options) for k in range(0, len(lines), BATCH)]
    return [{name: batch[name] for name in ("input_ids", "attention_mask")} for batch in batches]


def language_section(model: Any, tokenizer: Any, files: Sequence[Texts]) -> Section:
    from ranvier.interpret import language_activity, lape, masked_perplexities
    from ranvier.report import Picture, Section, Table

    odd = {one.name: encoded(tokenizer, one.lines[1::2]) for one in files}
    activity = language_activity(model, {one.name: encoded(tokenizer, one.lines[::2]) for one in files})
    share = min(0.2, max(0.01, 60 / len(activity.probabilities)))
    neurons = lape(activity, share=share)
    matrix, control = (masked_perplexities(model, one, odd) for one in (neurons, neurons.shuffled(0)))
    names = neurons.languages
    rows = [(name, *(signed(x) for x in row), str(int(n))) for name, row, n in
            zip(names, matrix.tolist(), neurons.members.sum(0), strict=True)]  # fmt: skip
    return Section(
        "Neurons of one language",
        (
            f"The {100 * share:.2g} % of neurons whose activity concentrates most on few languages (lowest entropy of "
            "activation probability), chosen on every other line, and what the model loses on the other lines without "
            "them.",
        ),
        (
            Picture(
                layers_figure(neurons),
                "Neurons of one language (blue) and of several (orange) in each layer.",
            ),
            Table(
                ("without those of", *names, "neurons"),
                rows,
                "Rise of the log-perplexity (nats a token) by language of the texts. Without as many random neurons of "
                f"the same layers the mean rise is {signed(float(control.mean()))}.",
            ),
        ),
    )


def signed(value: float) -> str:
    """A number with its sign, and none before a zero."""
    text = f"{value:+.3f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def layers_figure(neurons: LanguageNeurons) -> Any:
    figure, axes = _canvas(7.5, 2.4)
    table = neurons.per_layer().numpy()
    axes.bar(range(len(table)), table[:, 0], color=BLUE)
    axes.bar(range(len(table)), table[:, 1], bottom=table[:, 0], color=ORANGE)
    axes.set(xlabel="layer", ylabel="neurons")
    return figure


def _canvas(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure, axes
