"""Finds the security holes of an Envoy configuration, and returns the lines that close them.

Nothing here starts or asks an Envoy, and the file is not read as typed messages: a wrong or unknown field must not
keep the rest from being examined.
"""
