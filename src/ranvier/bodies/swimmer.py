"""dm_control's swimmer, rewarded for its forward speed, without a display."""

from __future__ import annotations

import importlib.util
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ranvier._checks import count, function, reals
from ranvier._results import Columns, Curves

#: seconds between two commands, and the speed (m/s) from which the reward is full
CONTROL, FULL_SPEED = 0.03, 0.1


@dataclass(frozen=True)
class SwimmerEpisode(Columns):
    """Of one episode: `total` reward, at most the steps; speed (T,) in m/s; joints (T, joints) in rad; places (T,
    links, 2) of the links in m.

    >>> still = rv.bodies.SwimmerEpisode(0.0, np.zeros(5), np.zeros((5, 2)), np.zeros((5, 3, 2)))
    >>> still.rewards.tolist()
    [0.0, 0.0, 0.0, 0.0, 0.0]
    """

    total: float
    speed: np.ndarray
    joints: np.ndarray
    places: np.ndarray

    def _columns(self) -> dict[str, Any]:
        return {"step": np.arange(len(self.speed)), "speed": self.speed, "reward": self.rewards}

    def _curves(self) -> Curves:
        return Curves(np.arange(len(self.speed)), {"": self.speed}, "step", "speed (m/s)")

    @property
    def rewards(self) -> np.ndarray:
        """(T,), each from 0 to 1."""
        earned: np.ndarray = np.clip(self.speed / FULL_SPEED, 0, 1)
        return earned


class Swimmer:
    """A chain of links in a viscous fluid (Tassa et al. 2018, dm_control's swimmer), which shall swim forward
    (Bhattasali, Zador & Engel 2022): the reward of a step grows from 0 to 1 with the head's forward speed from 0 to .1
    m/s, and is 0 backward.

    Needs `mujoco` and `dm_control` (its model's file only): pip install 'ranvier[bodies]'.

    Parameters
    ----------
    links : 3 or more; a joint less.

    >>> body = rv.bodies.Swimmer(6)
    >>> body.run(lambda joints, step: np.zeros(5), steps=10).total
    0.0
    """

    def __init__(self, links: int = 6) -> None:
        if isinstance(links, bool) or not isinstance(links, int) or not 3 <= links <= 100:
            raise ValueError(f"links is {links!r}; expected a whole number from 3 to 100")
        try:
            import mujoco
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "mujoco is missing; expected it for bodies: pip install 'ranvier[bodies]'"
            ) from error
        self._mujoco = mujoco
        self.links = links
        text, assets = _model(links)
        self._model: Any = mujoco.MjModel.from_xml_string(text, assets)
        self._data: Any = mujoco.MjData(self._model)
        self._substeps = round(CONTROL / self._model.opt.timestep)
        self._bodies = [self._model.body(name).id for name in ("head", *(f"segment_{k}" for k in range(links - 1)))]
        self._free = self._model.nq - self.joints

    @property
    def joints(self) -> int:
        return self.links - 1

    def run(
        self, control: Callable[[np.ndarray, int], np.ndarray], steps: int = 1000, *, seed: int = 0
    ) -> SwimmerEpisode:
        """An episode from random joint angles: control(joints in rad (joints,), step) -> torques within −1 and 1.

        The same seed gives the same episode, to the bit. ValueError for torques of another shape or not finite,
        FloatingPointError where MuJoCo's simulation becomes unstable.
        """
        steps = count(steps, "steps", 1)
        function(control, "control", "(joints, step) -> torques")
        with _without_log(self._mujoco):
            return self._episode(control, steps, seed)

    def _episode(self, control: Callable[[np.ndarray, int], np.ndarray], steps: int, seed: int) -> SwimmerEpisode:
        mj, model, data = self._mujoco, self._model, self._data
        mj.mj_resetData(model, data)
        limit = np.deg2rad(360.0 / self.links)
        rng = np.random.default_rng(seed)
        data.qpos[self._free :] = rng.uniform(-limit, limit, self.joints)
        mj.mj_forward(model, data)
        unstable = mj.mjtWarning.mjWARN_BADQPOS, mj.mjtWarning.mjWARN_BADQVEL, mj.mjtWarning.mjWARN_BADQACC
        speed, joints, places = np.zeros(steps), np.zeros((steps, self.joints)), np.zeros((steps, self.links, 2))
        for k in range(steps):
            torque = reals(control(data.qpos[self._free :].copy(), k), "what control returns")
            if torque.shape != (self.joints,) or not np.isfinite(torque).all():
                raise ValueError(
                    f"the torques of step {k} have shape {torque.shape} and are {torque.ravel()[:3]}...; expected "
                    f"({self.joints},) finite numbers"
                )
            data.ctrl[:] = np.clip(torque, -1, 1)
            mj.mj_step(model, data, self._substeps)
            speed[k] = self._speed()
            joints[k] = data.qpos[self._free :]
            places[k] = data.xpos[self._bodies, :2]
            if sum(data.warning[kind].number for kind in unstable):  # MuJoCo only warns, and restarts
                raise FloatingPointError(
                    f"the motion is not finite in step {k}; expected a stable one: was the model changed?"
                )
        return SwimmerEpisode(float(np.clip(speed / FULL_SPEED, 0, 1).sum()), speed, joints, places)

    def _speed(self) -> float:
        """The head's velocity along where it points, m/s."""
        velocity = np.zeros(6)
        self._mujoco.mj_objectVelocity(
            self._model, self._data, self._mujoco.mjtObj.mjOBJ_BODY, self._bodies[0], velocity, 1
        )
        return float(-velocity[4])  # the links follow in the direction of y


@contextmanager
def _without_log(mujoco: Any) -> Iterator[None]:
    """MuJoCo writes its warnings into MUJOCO_LOG.TXT in the working folder, unless there is a handler."""
    handler = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(handler or (lambda message: None))
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(handler)


def _model(links: int) -> tuple[str, dict[str, bytes]]:
    """dm_control's head, with `links` links in a row, and the files that its description includes."""
    package = importlib.util.find_spec("dm_control")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("dm_control is missing; expected its swimmer: pip install 'ranvier[bodies]'")
    folder = Path(package.submodule_search_locations[0]) / "suite"
    assets = {f"./common/{p.name}": p.read_bytes() for p in sorted((folder / "common").glob("*.xml"))}
    root = ET.fromstring((folder / "swimmer.xml").read_text("utf-8"))
    parent = root.find("./worldbody/body")
    if parent is None:
        raise ValueError(f"{folder / 'swimmer.xml'} has no body; expected dm_control 1.0's swimmer: install that")
    actuator = ET.SubElement(root, "actuator")
    angle = 360.0 / links
    for k in range(links - 1):
        child = ET.SubElement(parent, "body", name=f"segment_{k}", pos="0 .1 0")
        ET.SubElement(child, "geom", {"class": "visual", "name": f"visual_{k}"})
        ET.SubElement(child, "geom", {"class": "inertial", "name": f"inertial_{k}"})
        ET.SubElement(child, "joint", name=f"joint_{k}", range=f"{-angle} {angle}")
        ET.SubElement(actuator, "motor", name=f"motor_{k}", joint=f"joint_{k}")
        parent = child
    return ET.tostring(root, encoding="unicode"), assets


__all__ = ["Swimmer", "SwimmerEpisode"]
