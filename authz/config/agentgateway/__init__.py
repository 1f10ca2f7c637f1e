"""Kubernetes documents with an AgentgatewayPolicy -> settings."""
