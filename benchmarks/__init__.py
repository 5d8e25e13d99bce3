"""Speed, memory and rates, side by side with the peers: `make bench`."""
