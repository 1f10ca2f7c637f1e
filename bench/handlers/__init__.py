"""Bare gRPC handlers that the service is compared with."""
