"""Rates that agree with the input they cause: in white and in coloured noise, with adaptation and conductances."""
