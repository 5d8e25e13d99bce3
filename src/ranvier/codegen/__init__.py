"""Equations to machine code: printing, mathematics, compilation and its cache, threads, buffers, products."""
