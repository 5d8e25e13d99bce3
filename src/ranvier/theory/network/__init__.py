"""Networks: rates, linear response, correlations, and how a `Network` becomes the arrays of the theory."""
