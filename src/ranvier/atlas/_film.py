"""Short films: lines that move, drawn without a display."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from ranvier.atlas._canvas import COLOURS

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw


@dataclass(frozen=True)
class Film:
    """A line in each frame, frames (T, points, 2) in one unit, on a ground that holds still: an entry's picture that
    `ranvier atlas run` writes as a GIF.

    interval : ms from frame to frame. width, height : pixels. caption : drawn in a corner.

    >>> film = rv.atlas.Film(np.zeros((3, 2, 2)) + np.arange(2)[:, None], width=48, height=27)
    >>> film.gif()[:6]
    b'GIF89a'
    """

    frames: np.ndarray
    interval: float = 60.0
    width: int = 480
    height: int = 270
    caption: str = ""

    def __post_init__(self) -> None:
        shape = np.shape(self.frames)
        if len(shape) != 3 or shape[2] != 2 or min(shape) < 1 or not np.isfinite(self.frames).all():
            raise ValueError(f"frames has shape {shape}, or is not finite; expected finite points (T, points, 2)")

    def gif(self) -> bytes:
        """The film as a GIF that repeats."""
        from PIL import Image, ImageDraw

        places = self._pixels()
        pictures: list[Image.Image] = []
        for k, line in enumerate(places):
            picture = Image.new("RGB", (self.width, self.height), "white")
            draw = ImageDraw.Draw(picture)
            _line(draw, places[: k + 1, 0], COLOURS[1], 1)
            _line(draw, line, COLOURS[0], 7)
            x, y = line[0]
            draw.ellipse((x - 6, y - 6, x + 6, y + 6), fill=COLOURS[1])
            if self.caption:
                draw.text((8, 6), self.caption, fill=COLOURS[4])
            pictures.append(picture.quantize(16))
        buffer = BytesIO()
        pictures[0].save(
            buffer, format="GIF", save_all=True, append_images=pictures[1:], duration=self.interval, loop=0
        )
        return buffer.getvalue()

    def _pixels(self) -> np.ndarray:
        """The frames' points in pixels, to one scale, with a margin of a tenth."""
        points = np.asarray(self.frames, float)
        low, high = points.min((0, 1)), points.max((0, 1))
        size = np.array([self.width, self.height])
        scale = 0.9 * float((size / np.maximum(high - low, 1e-9)).min())
        pixels: np.ndarray = (points - (low + high) / 2) * [scale, -scale] + size / 2
        return pixels


def _line(draw: ImageDraw, points: np.ndarray, colour: str, width: int) -> None:
    if len(points) > 1:
        draw.line([tuple(p) for p in points], fill=colour, width=width, joint="curve")


__all__ = ["Film"]
