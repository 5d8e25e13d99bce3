"""Operations, energy and memory of a model, counted while it runs."""
