"""Machine code that is kept between processes: what it is made of, as bytes, and its folder."""
