"""Rules and algorithms that learn."""
