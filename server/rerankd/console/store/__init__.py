"""Commands that open the store themselves: keys, rerankers, judgements, runs, spend."""
