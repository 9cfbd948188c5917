"""One model's part of a request: known scores, passages, chunks, tournament, merge."""
