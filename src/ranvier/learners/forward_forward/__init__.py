"""Learning by two forward passes, one of data and one of what looks like data."""
