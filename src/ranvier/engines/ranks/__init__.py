"""One network on several processes, on one machine or many: who owns what, and how spikes reach the others."""
