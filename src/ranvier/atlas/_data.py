"""Data of several entries: scikit-learn's digits, split once, and the user's own files.

The environment variable RANVIER_DATA names the folder of data that the package may not hand on.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

HELD_OUT = 397  # digits to test on


class Digits(NamedTuple):
    """8 × 8 `digits`: pixels (examples, 64) within [0, 1], float64, and labels, int64; to train and to test on."""

    x: Tensor
    y: Tensor
    x_test: Tensor
    y_test: Tensor


def digits(seed: int) -> Digits:
    """scikit-learn's 1797 digits in a random order, the last 397 held out: every entry's split.

    >>> digits = rv.atlas.digits(seed=0)
    >>> tuple(digits.x.shape), tuple(digits.x_test.shape)
    ((1400, 64), (397, 64))
    """
    import numpy as np
    import torch
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(labels))
    x, y = torch.from_numpy(pixels[order] / 16), torch.from_numpy(labels[order])
    return Digits(x[:-HELD_OUT], y[:-HELD_OUT], x[-HELD_OUT:], y[-HELD_OUT:])


def tutorial_digits() -> Digits:
    """The same digits, a third held out, as scikit-learn's tutorials and papers after them split them.

    >>> digits = rv.atlas.tutorial_digits()
    >>> len(digits.x), len(digits.x_test)
    (1203, 594)
    """
    import torch
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    pixels, labels = load_digits(return_X_y=True)
    parts = train_test_split(pixels / 16, labels, test_size=0.33, random_state=42)
    x, x_test, y, y_test = map(torch.from_numpy, parts)
    return Digits(x, y, x_test, y_test)


def dataset(name: str) -> Path | None:
    """The file or folder `name` (mnist, nmnist, series/santafe_laser.npy ...) of the user's data, or None.

    None without RANVIER_DATA, or where its folder has no such thing: claims that need it stay untested.
    Raises FileNotFoundError where RANVIER_DATA names no folder.

    >>> rv.atlas.dataset("none of this name") is None
    True
    """
    setting = os.environ.get("RANVIER_DATA")
    if not setting:
        return None
    folder = Path(setting).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(
            f"there is no folder {folder}; expected RANVIER_DATA to name one with {name} in it; unset it to go without"
        )
    return folder / name if (folder / name).exists() else None
