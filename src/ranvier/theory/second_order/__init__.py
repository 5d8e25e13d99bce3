"""Beyond linear response: second-order responses of neurons and networks."""
