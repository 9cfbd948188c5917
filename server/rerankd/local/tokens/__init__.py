"""Words, tokens and vectors of texts, kept by content."""
