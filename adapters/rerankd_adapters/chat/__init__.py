"""Chat completions: calls and replies, the base class of their adapters, and that of JSON APIs."""
