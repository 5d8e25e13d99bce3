"""Spikes as sorted streams, and their statistics: rates, counts, lags, spectra."""
