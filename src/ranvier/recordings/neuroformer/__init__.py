"""Neuroformer: a transformer over spikes, stimuli and behaviour (Antoniades et al. 2024)."""

from ranvier.recordings.neuroformer.connectivity import attention_drive, attention_map
from ranvier.recordings.neuroformer.model import Neuroformer, Output
from ranvier.recordings.neuroformer.tokens import Frames, Windows, events, tokenise
from ranvier.recordings.neuroformer.training import decode_labels, forecast, log_likelihood, train_neuroformer

__all__ = [
    "Frames",
    "Neuroformer",
    "Output",
    "Windows",
    "attention_drive",
    "attention_map",
    "decode_labels",
    "events",
    "forecast",
    "log_likelihood",
    "tokenise",
    "train_neuroformer",
]
