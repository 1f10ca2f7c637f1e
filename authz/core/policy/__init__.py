"""Step 6: rules decide whether a caller may use an item."""
