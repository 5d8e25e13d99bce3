"""The Algonauts Project 2023's folders: responses and images of a subject, submissions, and a local leaderboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranvier._results import Fields
from ranvier.analysis.encoding import challenge_score
from ranvier.files.atomic import atomic_path
from ranvier.files.reading import require_file

SIDES = ("lh", "rh")


@dataclass(frozen=True, eq=False)
class ChallengeSubject(Fields):
    """One subject: `responses`, side ("lh", "rh") -> (images, vertices), mapped from the file and read when cut; image
    files to train and to test on, in the order of their names; masks of regions, name -> (vertices,).
    Returned by `read_challenge`.
    """

    name: str
    responses: Mapping[str, NDArray[np.float32]]
    train_images: tuple[Path, ...]
    test_images: tuple[Path, ...]
    masks: Mapping[str, NDArray[np.int64]]


def read_challenge(folder: str | Path) -> ChallengeSubject:
    """A subject's folder as the challenge hands it out: training_split/training_fmri/lh_training_fmri.npy,
    training_split/training_images, test_split/test_images, roi_masks/*.npy (the last three where they are).

    Raises FileNotFoundError without responses, and ValueError where they are no numbers, or as many as images.

    >>> from pathlib import Path
    >>> folder = Path("subj01/training_split/training_fmri")
    >>> folder.mkdir(parents=True)
    >>> np.save(folder / "lh_training_fmri.npy", np.ones((2, 3), np.float32))
    >>> subject = rv.recordings.read_challenge("subj01")
    >>> subject.name, subject.responses["lh"].shape
    ('subj01', (2, 3))
    """
    folder = Path(folder)
    responses = {}
    for side in SIDES:
        path = folder / "training_split" / "training_fmri" / f"{side}_training_fmri.npy"
        if path.exists():
            responses[side] = _array(path, 2)
    if not responses:
        raise FileNotFoundError(f"{folder} holds no training_split/training_fmri/lh_training_fmri.npy; expected a "
                                "subject's folder of the challenge")  # fmt: skip
    train = _images(folder / "training_split" / "training_images")
    for side, table in responses.items():
        if train and len(table) != len(train):
            raise ValueError(f"{side} has responses to {len(table)} images, {len(train)} are there; expected as many")
    masks = {path.stem: np.asarray(_array(path, 1), np.int64) for path in sorted((folder / "roi_masks").glob("*.npy"))}
    return ChallengeSubject(folder.name, responses, train, _images(folder / "test_split" / "test_images"), masks)


def write_submission(folder: str | Path, subject: str, predictions: Mapping[str, ArrayLike]) -> tuple[Path, ...]:
    """Predicted responses, side -> (test images, vertices), as the challenge takes them: subject/lh_pred_test.npy in
    float32. Raises ValueError for another side, and values that are not finite.

    >>> (path,) = rv.recordings.write_submission("mine", "subj01", {"lh": np.ones((2, 3))})
    >>> path.name, np.load(path).dtype.name
    ('lh_pred_test.npy', 'float32')
    """
    written = []
    for side, values in predictions.items():
        table = np.asarray(values, np.float32)
        if side not in SIDES or table.ndim != 2 or not np.isfinite(table).all():
            raise ValueError(f"{side!r} has shape {table.shape}; expected 'lh' or 'rh', finite (images, vertices)")
        path = Path(folder) / subject / f"{side}_pred_test.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as part, open(part, "wb") as file:
            np.save(file, table, allow_pickle=False)
        written.append(path)
    return tuple(written)


def leaderboard(
    submissions: Mapping[str, str | Path], truth: Mapping[str, Mapping[str, ArrayLike]],
    ceilings: Mapping[str, Mapping[str, ArrayLike]],
) -> list[tuple[str, float]]:  # fmt: skip
    """Names and scores in per cent, best first: of each submission's folder, the challenge's score of all vertices of
    each subject, both sides together, averaged over subjects. truth, ceilings: subject -> side -> responses, and shares
    of `noise_ceiling_share`. Raises FileNotFoundError for a missing file, ValueError for another shape.

    >>> truth = {"subj01": {"lh": np.random.default_rng(0).normal(size=(5, 3))}}
    >>> _ = rv.recordings.write_submission("mine", "subj01", truth["subj01"])
    >>> scores = rv.recordings.leaderboard({"mine": "mine"}, truth, {"subj01": {"lh": np.ones(3)}})
    >>> scores[0][0], round(scores[0][1], 3)
    ('mine', 100.0)
    """
    scores = []
    for name, folder in submissions.items():
        each = []
        for subject, sides in truth.items():
            pairs = []
            for side, actual in sides.items():
                table = _array(Path(folder) / subject / f"{side}_pred_test.npy", 2)
                if table.shape != np.shape(actual):
                    raise ValueError(f"{side}_pred_test.npy of {name} has shape {table.shape} for {subject}; expected "
                                     f"{np.shape(actual)}")  # fmt: skip
                pairs.append((np.asarray(table), np.asarray(actual), np.asarray(ceilings[subject][side])))
            each.append(challenge_score(*(np.concatenate(parts, -1) for parts in zip(*pairs, strict=True))))
        scores.append((name, float(np.mean(each))))
    return sorted(scores, key=lambda item: -item[1])


def _images(folder: Path) -> tuple[Path, ...]:
    ends: Sequence[str] = (".png", ".jpg", ".jpeg")
    return tuple(sorted(p for p in folder.glob("*") if p.suffix.lower() in ends)) if folder.is_dir() else ()


def _array(path: Path, dimensions: int) -> NDArray[np.float32]:
    require_file(path, "an array")
    try:
        table = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"{path} is no array of numbers ({error}); expected a .npy file") from None
    if table.ndim != dimensions or table.dtype.kind not in "fiu":
        raise ValueError(f"{path} holds {table.dtype} of shape {table.shape}; expected {dimensions} axes of numbers")
    return table


__all__ = ["ChallengeSubject", "leaderboard", "read_challenge", "write_submission"]
