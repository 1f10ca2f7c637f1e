"""Runs the everything server on a port of loopback: `python -m tests.everything PORT`."""

import sys
import warnings

import uvicorn

# The server has every feature on purpose, deprecated ones too.
warnings.simplefilter("ignore")

if __name__ == "__main__":
    from tests.everything.server import app

    uvicorn.run(app(), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", ws="none")
