"""Equations to machine code: printing, mathematics, pointers, kernel cache, threads, buffers, products."""
