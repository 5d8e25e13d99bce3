"""Networks of rectified units as spiking ones."""
