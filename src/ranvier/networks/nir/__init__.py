"""What goes to and comes from NIR, the neuromorphic intermediate representation: files, graphs, neurons, weights."""
