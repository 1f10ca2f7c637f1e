"""OAuth on the client's side, for the command line: get a token, decode one, check one."""
