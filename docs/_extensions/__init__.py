"""Parts of the documentation's build: mathematics without a network, docstrings, the API's pages, the atlas."""
