"""From a segmented volume to a graph: skeleton, places where it branches or ends, vessels between them, radii."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranvier.recordings.vessels.graph import VesselGraph


def extract_vessels(volume: ArrayLike, *, spacing: float | tuple[float, float, float] = 1.0) -> VesselGraph:
    """The graph of a mask (Z, Y, X): its skeleton's ends and branchings are places, paths between them vessels.

    radius: mean over the path of the distance to the background; length: along the path; positions, radii and lengths
    in units of `spacing`. Branching voxels that touch are one place, at their mean. Closed loops without a branching
    have no place and are left out, as are lone voxels. Raises ValueError for another shape, ImportError without
    scikit-image.

    >>> volume = np.zeros((9, 9, 30), bool)
    >>> volume[3:6, 3:6, 3:27] = True  # one straight vessel
    >>> graph = rv.recordings.vessels.extract_vessels(volume)
    >>> len(graph.positions), graph.ends.tolist()
    (2, [[0, 1]])
    """
    from scipy.ndimage import distance_transform_edt, label

    from ranvier.analysis.filaments import centre_line

    mask = np.asarray(volume).astype(bool)
    if mask.ndim != 3:
        raise ValueError(f"volume has shape {mask.shape}; expected a mask (Z, Y, X)")
    scale = np.broadcast_to(np.asarray(spacing, np.float64), (3,))
    line = np.pad(centre_line(mask), 1)
    depth = np.pad(distance_transform_edt(np.pad(mask, 1), sampling=scale)[1:-1, 1:-1, 1:-1], 1)
    cube = np.ones((3, 3, 3), bool)
    voxels = np.argwhere(line)
    index = np.full(line.shape, -1, np.int64)
    index[tuple(voxels.T)] = np.arange(len(voxels))
    offsets = np.array([o for o in product((-1, 0, 1), repeat=3) if any(o)])
    around = index[tuple((voxels[:, None] + offsets).transpose(2, 0, 1))]
    degree = (around >= 0).sum(1)
    branch = np.zeros(line.shape, bool)
    branch[tuple(voxels[(degree != 2) & (degree > 0)].T)] = True
    cluster, number = label(branch, cube)
    place = cluster[tuple(voxels.T)] - 1
    at = (voxels - 1) * scale
    positions = np.array([at[place == k].mean(0) for k in range(number)]).reshape(-1, 3)
    radii = depth[tuple(voxels.T)]
    ends, radius, length = _trace(around, place, at, radii)
    return VesselGraph.build(positions, np.array(ends, np.int64).reshape(-1, 2), np.array(radius), np.array(length))


def _trace(
    around: NDArray[np.int64], place: NDArray[np.int64], at: NDArray[np.float64], radii: NDArray[np.float64]
) -> tuple[list[tuple[int, int]], list[float], list[float]]:
    """Walks from every place along each of its paths to the next place; each path once."""
    ends: list[tuple[int, int]] = []
    radius: list[float] = []
    length: list[float] = []
    spent = np.zeros(len(place), bool)
    for first in np.flatnonzero(place >= 0):
        for second in around[first][around[first] >= 0]:
            if place[second] >= 0:
                if place[second] == place[first] or second < first:
                    continue  # within a place; or met from the other side
                path = [first, second]
            elif spent[second]:
                continue
            else:
                path = [first, second]
                while place[path[-1]] < 0:
                    spent[path[-1]] = True
                    onward = [v for v in around[path[-1]] if v >= 0 and v != path[-2]]
                    if not onward:
                        break
                    path.append(onward[0])
            if place[path[-1]] >= 0 and place[path[-1]] != place[first]:
                ends.append((int(place[first]), int(place[path[-1]])))
                radius.append(float(radii[path].mean()))
                length.append(float(np.linalg.norm(np.diff(at[path], axis=0), axis=1).sum()))
    return ends, radius, length


__all__ = ["extract_vessels"]
