"""Spans of our own for an OpenTelemetry collector, made off the request path."""
