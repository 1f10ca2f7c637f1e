"""Reads the settings of a `Task`: what the flags of `serve` say, on top of the policy file."""

import dataclasses

from authz.cli.policy_file import read_settings
from authz.config.settings import Settings
from authz.edge.workers.ipc import Task


def read_task(task: Task) -> Settings:
    """Return the settings of the policy file, with those of the command line on top.

    Raises:
        ConfigError: the file or an option cannot be used.
    """
    settings = read_settings(
        task.config,
        task.resource,
        task.jwks,
        allow_anonymous=task.allow_anonymous,
        session_keys=task.session_keys,
    )
    drain = settings.drain
    if task.grace is not None:
        drain = dataclasses.replace(drain, grace=task.grace)
    return dataclasses.replace(
        settings, grpc=task.grpc or settings.grpc, http=task.http or settings.http, drain=drain
    )
