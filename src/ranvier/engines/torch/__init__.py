"""The torch engine: clock-driven and differentiable."""
