"""Puts the rendered parts into an Envoy configuration that somebody else wrote, and tells what that changes for others."""
