"""Writes docs/doctor.md: `python -m authz.doctor.page > docs/doctor.md`."""

import sys

from authz.doctor.report import page

if __name__ == "__main__":
    sys.stdout.write(page())
