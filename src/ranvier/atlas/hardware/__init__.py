"""Networks on neuromorphic chips."""
