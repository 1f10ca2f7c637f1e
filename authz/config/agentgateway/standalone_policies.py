"""The policies of the standalone agentgateway, which stand under `policies` of a listener, a route, a backend or `mcp`.

Rules of this module:

* A key of a policy that is not read here is in `_HARMLESS` and causes a warning, or it is an error, as in `policy`.
* `jwtAuth` without a mode is optional there, so it must say `mode: strict`; `mcpAuthentication` is strict by default.
"""

from collections.abc import Callable, Mapping
from pathlib import Path as File
from typing import Any

from authz.config.agentgateway.policy import read_cors, read_rule
from authz.config.agentgateway.providers import ProviderReader
from authz.config.agentgateway.reader import UNREAD, UNREAD_CURE, DocumentReader, ReadResult
from authz.config.problems import ConfigError
from authz.config.settings import IssuerKeys
from authz.config.yaml_document import Document, Path
from authz.core.policy.rule import Effect

_HARMLESS = frozenset(
    {
        "timeout",
        "retry",
        "delay",
        "buffer",
        "backendAuth",
        "backendTLS",
        "backendTunnel",
        "responseHeaderModifier",
        "a2a",
    }
)
_AUTHENTICATION = frozenset({"issuer", "audiences", "jwks", "mode", "resourceMetadata"})
_TO_CLIENTS = frozenset({"provider", "clientId", "clientSecret"})
"""Keys with which agentgateway stands between clients and their issuer; here clients go to the issuer themselves."""


class PoliciesReader:
    """Reads one mapping of policies."""

    def __init__(
        self, document: Document, result: ReadResult, providers: "StandaloneProviders", path: Path, name: str
    ) -> None:
        """Read into a result; `name` is what the mapping belongs to."""
        self.reader = DocumentReader(document, result)
        self.providers = providers
        self.path = path
        self.name = name

    def read(self, key: str, value: Any) -> None:
        """Read one policy of the mapping."""
        place = (*self.path, key)
        if key in _HARMLESS:
            self.reader.warn(place, "not acted on by mcp-authz")
        elif key not in {"cors", "jwtAuth", "mcpAuthentication", "mcpAuthorization"}:
            self.reader.report(place, UNREAD, UNREAD_CURE)
        elif not isinstance(value, dict):
            self.reader.report(place, "a mapping is needed")
        elif key == "cors":
            read_cors(self.reader, value, place)
        elif key == "jwtAuth":
            self._jwt(value, place)
        elif key == "mcpAuthentication":
            self._authentication(value, place)
        else:
            self._rules(value, place)

    def _jwt(self, section: dict[str, Any], path: Path) -> None:
        self.providers.mode(str(section.get("mode", "optional")).capitalize(), (*path, "mode"))
        if "providers" in section:
            for index, each in enumerate(list_at(section, "providers")):
                self.providers.provider(each, (*path, "providers", index))
        else:
            self.providers.provider({k: v for k, v in section.items() if k != "mode"}, path)

    def _authentication(self, section: dict[str, Any], path: Path) -> None:
        self.providers.mode(str(section.get("mode", "strict")).capitalize(), (*path, "mode"))
        for key in section:
            if key in _TO_CLIENTS:
                self.reader.warn((*path, key), "not acted on: clients go to the issuer themselves")
            elif key not in _AUTHENTICATION:
                self.reader.report((*path, key), UNREAD, UNREAD_CURE)
        kept = {key: section[key] for key in ("issuer", "audiences", "jwks") if key in section}
        self.providers.provider(kept, path)
        metadata = section.get("resourceMetadata")
        if isinstance(metadata, dict):
            self.reader.result.metadata = metadata

    def _rules(self, section: dict[str, Any], path: Path) -> None:
        for key in section.keys() - {"rules"}:
            self.reader.report((*path, key), UNREAD, UNREAD_CURE)
        for index, rule in enumerate(list_at(section, "rules")):
            place = (*path, "rules", index)
            given = rule if isinstance(rule, dict) else {"allow": rule}
            if len(given) != 1 or not given.keys() <= {str(effect) for effect in Effect}:
                self.reader.report(
                    place, "unknown rule", "write an expression, or one of allow, deny and require"
                )
                continue
            ((effect, text),) = given.items()
            where = (*place, effect) if isinstance(rule, dict) else place
            name = f"{self.name}/{effect}-{index + 1}"
            read_rule(self.reader, Effect(effect), text, where, name)


class StandaloneProviders(ProviderReader):
    """Reads providers whose keys are a text, a file or a URL."""

    strict = "strict"

    def __init__(
        self,
        document: Document,
        result: ReadResult,
        jwks: Mapping[str, str],
        read: Callable[[str], bytes],
        *,
        allow_anonymous: bool,
    ) -> None:
        """Read into a result; `read` reads a file that is named, and `jwks` replaces key sets."""
        super().__init__(document, result, jwks, allow_anonymous=allow_anonymous)
        self._open = read

    def _keys(self, issuer: str, jwks: Any, path: Path) -> IssuerKeys:
        if issuer in self.jwks or jwks is None:
            return super()._keys(issuer, jwks, path)
        if isinstance(jwks, str):
            return IssuerKeys(issuer=issuer, inline=self._inline(jwks, path))
        if isinstance(dig(jwks, "url"), str):
            return IssuerKeys(issuer=issuer, jwks_uri=self._guarded(jwks["url"], (*path, "url")))
        if isinstance(dig(jwks, "file"), str):
            return IssuerKeys(issuer=issuer, inline=self._file(jwks["file"], (*path, "file")))
        return super()._keys(issuer, jwks, path)

    def _file(self, name: str, path: Path) -> bytes:
        """Return the keys of a file, which stands beside the configuration or where the command was started."""
        for folder in (File(self.document.file).parent, File()):
            try:
                text = self._open(str(folder / name)).decode("utf-8")
            except (OSError, UnicodeDecodeError, ConfigError):
                continue
            return self._inline(text, path)
        self.report(
            path, f"no file {name} can be read beside this one", "name it so, or give --jwks ISSUER=URL"
        )
        return b""


def dig(value: Any, *keys: str) -> Any:
    """Return what stands below some keys; None if it is not there, or a part on the way is no mapping."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def list_at(value: Any, key: str) -> list[Any]:
    """Return the list at a key; an empty one if there is none."""
    found = dig(value, key)
    return found if isinstance(found, list) else []
