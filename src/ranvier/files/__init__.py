"""Files: writing that is atomic, reading within bounds, locks, manifests, and folders of runs that go on."""
