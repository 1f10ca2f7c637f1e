"""The demo issuer: an OpenID provider on loopback, which can fail on request."""
