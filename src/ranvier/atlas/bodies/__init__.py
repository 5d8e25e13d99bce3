"""Bodies and the circuits that move them."""
