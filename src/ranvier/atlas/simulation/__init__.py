"""Networks simulated: published models and their rates."""
