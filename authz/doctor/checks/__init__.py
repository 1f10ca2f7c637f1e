"""The checks, one module for each part of an Envoy configuration."""
