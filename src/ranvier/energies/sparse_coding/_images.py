"""Whitened images, and patches of them."""

from __future__ import annotations

import numpy as np


def whitened(image: np.ndarray, cutoff: float = 0.4) -> np.ndarray:
    """The image (rows, columns) with a flat spectrum up to a cutoff, mean 0 and variance 1.

    Olshausen and Field (1997): the amplitude falls as 1/f, so it is multiplied by f exp(−(f/f0)⁴), f0 = `cutoff`
    in cycles a pixel (their 200 cycles in an image of 512). Raises ValueError for an image of another shape, that is
    not finite, or without contrast.

    >>> image = np.random.default_rng(0).normal(size=(32, 32)).cumsum(0)
    >>> flat = rv.energies.sparse_coding.whitened(image)
    >>> bool(abs(flat.mean()) < 1e-9), round(float(flat.var()), 6)
    (True, 1.0)
    """
    image = np.asarray(image, float)
    if image.ndim != 2 or not np.isfinite(image).all():
        raise ValueError(f"image has shape {image.shape}; expected finite numbers (rows, columns)")
    f = np.hypot(np.fft.fftfreq(image.shape[0])[:, None], np.fft.fftfreq(image.shape[1]))
    flat = np.fft.ifft2(np.fft.fft2(image - image.mean()) * f * np.exp(-((f / cutoff) ** 4))).real
    if not flat.std() > 1e-12 * max(1.0, np.abs(image).max()):
        raise ValueError("there is an image without contrast; expected one that varies")
    return flat / flat.std()


def patches(images: list[np.ndarray], size: int, count: int, seed: int = 0) -> np.ndarray:
    """`count` square patches (count, size²) from random places of the images (rows, columns), each of mean 0.

    Raises ValueError for an image smaller than a patch.

    >>> image = np.arange(64.0).reshape(8, 8)  # a ramp: all patches are the same but for their mean
    >>> rv.energies.sparse_coding.patches([image], size=2, count=3)[2].tolist()
    [-4.5, -3.5, 3.5, 4.5]
    """
    for image in images:
        if image.ndim != 2 or min(image.shape) < size:
            raise ValueError(f"image has shape {image.shape}; expected (rows, columns), {size} at least")
    rng = np.random.default_rng(seed)
    drawn = np.empty((count, size, size))
    for patch in drawn:
        image = images[rng.integers(len(images))]
        top, left = (rng.integers(n - size + 1) for n in image.shape)
        patch[:] = image[top : top + size, left : left + size]
    return (drawn - drawn.mean((1, 2), keepdims=True)).reshape(count, -1)


__all__ = ["patches", "whitened"]
