"""Data that are not the package's to hand on: the environment variable RANVIER_DATA names the folder they lie in."""

from __future__ import annotations

import os
from pathlib import Path


def dataset(name: str) -> Path | None:
    """The file or folder `name` (mnist, nmnist, series/santafe_laser.npy ...) of the user's data, or None.

    None without RANVIER_DATA, or where its folder has no such thing: claims that need it stay untested.
    Raises FileNotFoundError where RANVIER_DATA names no folder.
    """
    given = os.environ.get("RANVIER_DATA")
    if not given:
        return None
    folder = Path(given).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(
            f"found no folder {folder}, expected RANVIER_DATA to name one with {name} in it; unset it to go without"
        )
    return folder / name if (folder / name).exists() else None
