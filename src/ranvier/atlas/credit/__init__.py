"""Entries on how credit is assigned: learning without plain backpropagation, and what it comes to."""
