"""Translation between the core and the world: gRPC, HTTP, files, clocks. Edges translate and never decide."""
