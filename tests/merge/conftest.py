"""Imports Envoy's typed messages once, past a deprecation that their generator has with pydantic 2.12."""

import warnings

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message="Using `@model_validator`", category=DeprecationWarning)
    import authz.render.bootstrap  # noqa: F401
