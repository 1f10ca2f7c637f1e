"""Files -> frozen settings: the native policy file and AgentgatewayPolicy documents."""
