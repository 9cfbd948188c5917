"""Drills: one hostile or careless caller against a server with default settings, and what others notice of it."""
