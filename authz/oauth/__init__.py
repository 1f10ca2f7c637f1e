"""The client's side of OAuth for the command line: getting a token, and reading one."""
