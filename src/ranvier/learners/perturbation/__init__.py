"""Learning from what happens to the loss when something is perturbed."""
