"""`fit`: the loop over batches, its log, checkpoints and exact resume."""
