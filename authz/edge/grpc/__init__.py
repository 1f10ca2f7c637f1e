"""The gRPC server behind one interface, its health and its certificates."""
