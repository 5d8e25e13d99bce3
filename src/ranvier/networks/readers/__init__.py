"""Networks and edge lists from files and from other libraries."""
