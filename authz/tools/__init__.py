"""Tools for whoever writes a policy: its cases, run through the same walk that decides for Envoy."""
