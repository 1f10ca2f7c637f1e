"""An issuer of a native file -> the terms on which it is trusted, and what of it is probably not meant."""

from collections.abc import Iterator

from authz.config.native.claims import looks_like_path
from authz.config.native.issuers import IssuerModel
from authz.config.yaml_document import Path
from authz.core.identity.issuer import Introspect, IssuerTerms


def issuer_terms(name: str, model: IssuerModel, audiences: list[str], *, groups: bool = False) -> IssuerTerms:
    """Return the terms on which an issuer is trusted.

    Args:
        name: its key in the file.
        model: what stands there.
        audiences: those that are accepted.
        groups: whether a rule asks for groups.
    """
    return IssuerTerms(
        issuer=model.issuer,
        name=name,
        audiences=frozenset(audiences),
        algorithms=frozenset(model.algorithms),
        leeway=float(model.leeway_seconds),
        scopes_claim=model.claims.scopes,
        permissions_claim=model.claims.permissions_of(model.issuer),
        scope_prefix=model.scope_prefix or "",
        roles_claim=model.claims.roles,
        groups_claim=model.claims.groups if groups else None,
        client_claim=model.claims.client,
        subject_claim=model.claims.subject,
        audience_claim=model.claims.audience,
        introspect=_introspect(model),
        required_claims=model.required_claims,
        max_token_age=model.max_token_age_seconds,
        require_subject=model.subject == "required",
        refuse_id_tokens=None if model.refuse_id_tokens == "auto" else bool(model.refuse_id_tokens),
        allowed_clients=None if model.allowed_clients is None else frozenset(model.allowed_clients),
    )


def _introspect(model: IssuerModel) -> Introspect:
    if model.introspection is None:
        return Introspect.NEVER
    return Introspect.OPAQUE if model.has_keys else Introspect.ALL


def claim_warnings(name: str, model: IssuerModel) -> Iterator[tuple[Path, str, str]]:
    """Yield each claim that is probably meant as a path: its key, the finding, and the cure."""
    place: Path = ("issuers", name)
    for claim in filter(looks_like_path, model.required_claims):
        message = f"{claim} is one claim, whose name has dots"
        cure = "only claims of the token itself are required here; ask for others in a rule's when"
        yield (*place, "required_claims", claim), message, cure
    for key, message, cure in model.claims.dotted():
        yield (*place, "claims", *key), message, cure
