"""What is only of language models: stored models, perplexity, languages, words, judges."""
