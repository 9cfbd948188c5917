"""Providers spoken to over gRPC. The only modules of the adapters that import grpc and protobuf."""
