"""What sources of spikes emit in a step: Poisson counts, given spikes, and processes drawn ahead."""
