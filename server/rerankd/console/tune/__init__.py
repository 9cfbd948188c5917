"""`rerankd tune`: learns the weights of a fusion from judged queries."""
