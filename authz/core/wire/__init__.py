"""Bytes to values that no two readers understand differently."""
