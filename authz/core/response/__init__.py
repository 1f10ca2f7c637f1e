"""What comes back: lists are filtered, sessions tagged, streams ended."""
