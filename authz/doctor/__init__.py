"""Reads an Envoy configuration that somebody wrote, names its holes, and gives the lines that close them.

Nothing here starts or asks an Envoy, and nothing is read as typed messages: a field that is wrong or unknown must not
keep the rest from being looked at.
"""
