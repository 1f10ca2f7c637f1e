"""All checks, in the order in which a reader of the documentation meets them."""

from authz.doctor.checks import (
    clusters,
    connection_manager,
    ext_authz,
    ext_proc,
    file,
    filter_order,
    routes,
)
from authz.doctor.model import Check

TOPICS: tuple[tuple[str, tuple[Check, ...]], ...] = (
    ("ext_authz", ext_authz.CHECKS),
    ("The rewriter (ext_proc)", ext_proc.CHECKS),
    ("Order of filters", filter_order.CHECKS),
    ("Routes", routes.CHECKS),
    ("Connection manager", connection_manager.CHECKS),
    ("Clusters of the service", clusters.CHECKS),
    ("The file", file.CHECKS),
)
ALL: tuple[Check, ...] = tuple(check for _, checks in TOPICS for check in checks)
