"""Warnings about rules that parse and do not mean what they say."""
