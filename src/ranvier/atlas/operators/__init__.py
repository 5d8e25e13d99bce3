"""Networks that map fields to fields."""
