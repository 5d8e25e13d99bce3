"""The engine for sparse activity: linear neurons without noise are advanced in closed form from event to event."""
