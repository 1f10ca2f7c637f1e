"""All checks, in the order in which a reader of the documentation meets them."""

from authz.doctor import (
    checks_authz,
    checks_clusters,
    checks_file,
    checks_manager,
    checks_order,
    checks_rewriter,
    checks_routes,
)
from authz.doctor.finding import Check

TOPICS: tuple[tuple[str, tuple[Check, ...]], ...] = (
    ("ext_authz", checks_authz.CHECKS),
    ("The rewriter (ext_proc)", checks_rewriter.CHECKS),
    ("Order of filters", checks_order.CHECKS),
    ("Routes", checks_routes.CHECKS),
    ("Connection manager", checks_manager.CHECKS),
    ("Clusters of the service", checks_clusters.CHECKS),
    ("The file", checks_file.CHECKS),
)
ALL: tuple[Check, ...] = tuple(check for _, checks in TOPICS for check in checks)
