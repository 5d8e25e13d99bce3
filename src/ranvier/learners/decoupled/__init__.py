"""Learning that does not wait: gradients of what is still to come are predicted."""
