"""Sessions of browsers: a signed cookie instead of a key, for the management routes."""
