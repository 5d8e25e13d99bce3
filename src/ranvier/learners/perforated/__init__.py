"""Perforated backpropagation: dendrites grown by correlation with their neuron's error."""
