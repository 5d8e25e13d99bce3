"""Learners of networks that descend an energy."""
