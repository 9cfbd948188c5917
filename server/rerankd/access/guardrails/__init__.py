"""Guardrails: what query and documents may hold, and what is done about it."""
