"""Metrics, the audit log, the service log."""
