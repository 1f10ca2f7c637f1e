"""Kubernetes documents with an AgentgatewayPolicy: read, and built into settings."""
