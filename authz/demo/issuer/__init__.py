"""The demo issuer: an OpenID provider on loopback, with faults on request."""
