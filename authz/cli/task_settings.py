"""Reads the settings of a `Task`: what the flags of `serve` say, on top of the policy file."""

import dataclasses
import os
from collections.abc import Mapping

import structlog

from authz.cli.policy_file import read_settings
from authz.cli.tracing_settings import with_endpoint
from authz.config.addresses import is_http
from authz.config.problems import ConfigError
from authz.config.settings import AuditFormat, Settings
from authz.core.servers import Directory
from authz.edge.workers.ipc import Task

_LOG = structlog.get_logger("authz.policy")


def read_task(task: Task, kept: Mapping[str, bytes] | None = None) -> Settings:
    """Return the settings of the policy file, or of what was `kept` of it, with those of the command line on top.

    Raises:
        ConfigError: the file or an option cannot be used.
    """
    settings = read_settings(
        task.config,
        task.resource,
        task.jwks,
        allow_anonymous=task.allow_anonymous,
        session_keys=task.session_keys,
        kept=kept,
    )
    drain = settings.drain
    if task.grace is not None:
        drain = dataclasses.replace(drain, grace=task.grace)
    if task.rewriter:
        needed = task.rewriter == "required"
        servers = [dataclasses.replace(each, needs_rewriter=needed) for each in settings.directory.servers]
        settings = dataclasses.replace(settings, directory=Directory(tuple(servers)))
    audit = dataclasses.replace(
        settings.audit, format=AuditFormat(task.audit_format or settings.audit.format)
    )
    if task.audit:
        is_url = is_http(task.audit)
        audit = dataclasses.replace(
            audit, file="" if is_url else task.audit, otlp=task.audit if is_url else ""
        )
    return dataclasses.replace(
        settings,
        audit=audit,
        tracing=with_endpoint(settings.tracing, task.otlp, os.environ),
        grpc=task.grpc or settings.grpc,
        http=task.http or settings.http,
        drain=drain,
        console=task.console,
    )


def read_task_or_kept(task: Task) -> Settings:
    """Return the settings on disk or, if they cannot be used, those by which the other workers go on.

    Raises:
        ConfigError: the file cannot be used, and there are no other workers yet.
    """
    try:
        return read_task(task)
    except (
        Exception
    ) as error:  # whatever is wrong with the file, a service that runs must not lose its worker for it
        if not task.files:
            raise
        problem = str(error) if isinstance(error, ConfigError) else type(error).__name__
        _LOG.error("policy cannot be used, the last good one is taken", problem=problem)
        return read_task(task, task.files)
