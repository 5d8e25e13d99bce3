"""Entries about trained networks and what their neurons do."""
