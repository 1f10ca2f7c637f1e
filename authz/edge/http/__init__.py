"""The HTTP side: metadata, metrics, health, console."""
