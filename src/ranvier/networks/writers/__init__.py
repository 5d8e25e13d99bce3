"""Networks to the formats of other tools."""
