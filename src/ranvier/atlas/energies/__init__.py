"""Networks that descend an energy."""
