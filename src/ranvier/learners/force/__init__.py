"""Networks of rates whose weights follow the error at once, by recursive least squares: FORCE and full-FORCE."""
