"""gRPC handlers that decide nothing, which the service is compared with."""
