"""The gRPC side: server, servicers, error details, health and reflection."""
