"""What is read from recorded or simulated neurons."""
