"""Step 2: an access token becomes a principal; a session id belongs to one."""
