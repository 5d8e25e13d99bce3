"""Neurons O, R, T of the reference table, as forces and keyword arguments of `membrane`."""

import math

import torch


def eif(E, mu, Delta_T, V_T):
    return lambda V: E - V + Delta_T * torch.exp((V - V_T) / Delta_T) + mu


O = (
    eif(-72.0, 10.0, 1.4, -48.0),
    {"tau": 10.0, "sigma": 9.0, "t_ref": 2.0, "V_th": 30.0, "V_reset": -72.0, "V_lb": -150.0},
)
R = (
    eif(-60.0, 2.0, 2.0, -50.0),
    {"tau": 10.0, "sigma": 9.0, "t_ref": 1.5, "V_th": -10.0, "V_reset": -65.0, "V_lb": -140.0},
)
T = (
    eif(-54.0, 0.0, 1.4, -52.5),
    {"tau": 20.0, "sigma": math.sqrt(12.0), "t_ref": 2.0, "V_th": 20.0, "V_reset": -54.0, "V_lb": -100.0},
)
LIF = (
    lambda V: 15.0 - V,
    {"tau": 20.0, "sigma": 5.0 / math.sqrt(2.0), "t_ref": 2.0, "V_th": 20.0, "V_reset": 10.0, "V_lb": -15.0},
)
