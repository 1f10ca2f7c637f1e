"""AgentgatewayPolicy documents to a native policy file."""
