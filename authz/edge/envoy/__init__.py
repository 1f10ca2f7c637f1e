"""Envoy's check and processing messages to the core's values and back."""
