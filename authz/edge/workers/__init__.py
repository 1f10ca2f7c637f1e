"""Several processes behind one supervisor."""
