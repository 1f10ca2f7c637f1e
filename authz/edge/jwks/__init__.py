"""Issuers' keys: fetched, cached, renewed."""
