"""What the service costs: measured beside a bare gRPC handler behind the same Envoy, alone, and stage by stage."""
