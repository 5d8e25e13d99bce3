"""What to record, what was recorded, and runs on disk."""
