"""The gRPC transport: server, servicers, error details, health and reflection."""
