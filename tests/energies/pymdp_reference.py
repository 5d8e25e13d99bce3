"""Write tests/energies/reference/pymdp.json with pymdp's own numbers. In a separate environment:

pip install inferactively-pymdp==0.0.7.1 "numpy<2" && python tests/energies/pymdp_reference.py
"""

import json
from pathlib import Path

import numpy as np
from pymdp import control, inference, utils

PATH = Path(__file__).parent / "reference" / "pymdp.json"


def random_model(rng, outcomes, states, actions):
    """Dirichlet columns, normal preferences."""
    A = [rng.dirichlet(np.ones(o), size=states) for o in outcomes]
    A = [np.moveaxis(a, -1, 0) for a in A]
    B = [np.moveaxis(rng.dirichlet(np.ones(s), size=(s, u)), -1, 0) for s, u in zip(states, actions)]
    return A, B, [rng.normal(size=o) for o in outcomes], [rng.dirichlet(np.ones(s)) for s in states]


def t_maze(start=0, win=0.9):
    """Locations: centre, right, left, cue. Context: reward right, left. The arms are absorbing."""
    where, reward, cue = np.zeros((4, 4, 2)), np.zeros((3, 4, 2)), np.zeros((2, 4, 2))
    for c in range(2):
        where[:, :, c] = np.eye(4)
        reward[0, [0, 3], c] = 1
        reward[:, 1 + c, c], reward[:, 2 - c, c] = [0, win, 1 - win], [0, 1 - win, win]
        cue[:, :3, c], cue[c, 3, c] = 0.5, 1
    move = np.zeros((4, 4, 4))
    for action in range(4):
        move[action, [0, 3], action] = 1
        move[[1, 2], [1, 2], action] = 1
    still = np.eye(2)[:, :, None]
    return [where, reward, cue], [move, still], [np.zeros(4), np.array([0, 2, -1.8]), np.zeros(2)], [
        np.eye(4)[start], np.full(2, 0.5),
    ]  # fmt: skip


def objects(parts):
    """An array of arrays, also where there is one."""
    result = utils.obj_array(len(parts))
    for k, part in enumerate(parts):
        result[k] = part
    return result


def case(model, observation, horizon, gamma):
    A, B, C, D = map(objects, model)
    observed = tuple(observation) if len(A) > 1 else observation[0]
    qs = inference.update_posterior_states(A, observed, prior=D, num_iter=1000, dF_tol=0.0)
    policies = control.construct_policies([b.shape[0] for b in B], [b.shape[2] for b in B], horizon)
    q_pi, G = control.update_posterior_policies(qs, A, B, C, policies, gamma=gamma)
    only, _ = control.update_posterior_policies(qs, A, B, C, policies, use_states_info_gain=False, gamma=gamma)
    return {
        "A": [a.tolist() for a in A], "B": [b.tolist() for b in B], "C": [c.tolist() for c in C],
        "D": [d.tolist() for d in D], "observation": list(observation), "gamma": gamma,
        "policies": np.array(policies).tolist(), "beliefs": [q.tolist() for q in qs], "value": G.tolist(),
        "probabilities": q_pi.tolist(), "reward_only": only.tolist(),
    }  # fmt: skip


def main():
    rng = np.random.default_rng(0)
    cases = {
        "one factor": case(random_model(rng, (4,), (3,), (2,)), (1,), 3, 2.0),
        "two modalities": case(random_model(rng, (3, 2), (4,), (3,)), (2, 0), 2, 2.0),
        "two factors": case(random_model(rng, (3, 4), (3, 2), (2, 2)), (0, 3), 2, 2.0),
        "T-maze": case(t_maze(), (0, 0, 1), 2, 16.0),
        "T-maze, cue seen": case(t_maze(start=3), (3, 0, 1), 1, 16.0),
    }
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(json.dumps({"pymdp": "0.0.7.1", "cases": cases}) + "\n")


if __name__ == "__main__":
    main()
