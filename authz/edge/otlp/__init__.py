"""OTLP over HTTP: how spans and audit records get to an OpenTelemetry collector."""
