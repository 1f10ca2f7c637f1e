"""Warnings about rules that are valid but probably do not mean what their author meant."""
