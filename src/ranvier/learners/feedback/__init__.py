"""Errors that go back by other ways than the weights they come from."""
