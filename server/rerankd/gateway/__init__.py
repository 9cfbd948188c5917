"""HTTP in front of the engine: an ASGI application whose routes and types are generated from the protos."""
