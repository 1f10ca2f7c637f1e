"""CEL text to a checked expression, by its tree."""
