"""Readers of data sets: images in idx files, recordings of event cameras."""
