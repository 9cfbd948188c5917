"""Turns protos/ into Python stubs, the contract module, converters, routes and OpenAPI."""
