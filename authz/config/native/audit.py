"""The section `audit` of a native file: what audit records hold, how they are written, and where they go."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from authz.config.files import Files
from authz.config.native.claims import ClaimName
from authz.config.native.issuers import Url
from authz.config.native.key_files import CURE, read_key
from authz.config.problems import ConfigError
from authz.config.settings import AuditFormat, AuditTerms, Settings
from authz.config.validation import Section, Text
from authz.config.yaml_document import Document

_SUBJECT = ("sub",)


class AuditModel(Section):
    """What audit records hold beyond the decision and the caller's identity, and where they go."""

    claims: Annotated[list[ClaimName], Field(max_length=32)] = Field(
        [], description="claims of the caller that each record holds, by name or path; default none"
    )
    format: Literal["json", "ocsf"] = Field(
        "json", description="json: one flat object a record; ocsf: API Activity of OCSF 1.8.0"
    )
    file: Text | None = Field(
        None, description="file that gets the records, relative to this one; default: stdout"
    )
    otlp: Url | None = Field(
        None, description="base URL of a collector that gets them as logs, by OTLP over HTTP; default: stdout"
    )
    subject_key_file: Text | None = Field(
        None, description="file with a key, relative to this one: records hold sub as a hash under it"
    )


def with_audit(settings: Settings, audit: AuditModel, document: Document, files: Files) -> Settings:
    """Add the section to the settings.

    Raises:
        ConfigError: the key cannot be used, a claim would tell what the hash hides, or the records have two places to go.
    """
    folder = Path(document.file).parent
    if audit.file and audit.otlp:
        message = "the records go to audit.file already"
        raise ConfigError([document.problem(("audit", "otlp"), message, "leave one of them out")])
    key = b""
    if audit.subject_key_file:
        try:
            key = read_key(str(folder / audit.subject_key_file), files, "key")
        except ValueError as error:
            raise ConfigError([document.problem(("audit", "subject_key_file"), str(error), CURE)]) from None
        if any(claim[:1] == _SUBJECT for claim in audit.claims):
            message = "names sub, which subject_key_file hides"
            raise ConfigError([document.problem(("audit", "claims"), message, "leave one of them out")])
    terms = AuditTerms(
        claims=tuple(audit.claims),
        format=AuditFormat(audit.format),
        file=str(folder / audit.file) if audit.file else "",
        otlp=audit.otlp or "",
        subject_key=key,
    )
    return replace(settings, audit=terms)
