"""Systems that began a field, and laws that belong to no other group."""
