"""Films: frames where the points are, as many as there are, the same to the byte."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from ranvier.atlas import Film


def test_a_film_shows_its_points():
    frames = np.zeros((3, 2, 2))
    frames[:, 1, 0] = 1.0  # a line along x, one long
    frames[1:, :, 1] = [[0.5], [1.0]]  # that rises
    film = Film(frames, interval=50, width=200, height=200)
    picture = Image.open(io.BytesIO(film.gif()))
    assert picture.n_frames == 3 and picture.size == (200, 200) and picture.info["duration"] == 50
    rows = []
    for k in range(3):
        picture.seek(k)
        blue = np.array(picture.convert("RGB")).astype(int)
        blue = (blue[..., 2] > blue[..., 0] + 80).nonzero()
        rows.append(blue[0].mean())
    assert rows == pytest.approx([190.0, 100.0, 10.0], abs=3)  # nine tenths of 200, upwards
    assert Film(frames, interval=50, width=200, height=200).gif() == film.gif()


@pytest.mark.parametrize("frames", [np.zeros((0, 2, 2)), np.zeros((3, 2)), np.full((1, 2, 2), np.nan)])
def test_what_is_no_film(frames):
    with pytest.raises(ValueError, match="expected finite points"):
        Film(frames)
