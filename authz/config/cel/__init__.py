"""CEL text -> checked expression."""
