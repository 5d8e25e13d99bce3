"""Associative memories: networks whose energy has stored patterns as minima."""
