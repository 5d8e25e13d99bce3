"""The nematode: its canonical neurons, recordings made alike, published tables of activity and of wiring."""
