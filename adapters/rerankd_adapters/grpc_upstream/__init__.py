"""Adapters of gRPC providers. The only adapter modules that import grpc and protobuf."""
