"""Systems that began a field, a survey of what came of them, and laws that belong to no other group."""
