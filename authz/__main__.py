"""`python -m authz` is `mcp-authz`."""

from authz.cli import main

if __name__ == "__main__":
    main()
