"""The base of every section of a policy file, and pydantic's findings -> problems with line, key and cure."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError
from pydantic_core import ErrorDetails

from authz.config.problems import ConfigError, Problem
from authz.config.yaml_document import Document, Path

Text = Annotated[str, StringConstraints(min_length=1, max_length=8192)]
Model = TypeVar("Model", bound=BaseModel)


class Section(BaseModel):
    """A mapping of a file: no key is unknown, no value is converted, and nothing changes after it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def validate(model: type[Model], document: Document) -> Model:
    """Validate a document as a model.

    Raises:
        ConfigError: with every finding, each at its line.
    """
    try:
        return model.model_validate(document.value)
    except ValidationError as error:
        raise ConfigError(_problem(model, document, found) for found in error.errors()) from None


_SENTENCES: Mapping[str, str] = MappingProxyType(
    {
        "missing": "this key is required",
        "extra_forbidden": "unknown key",
        "string_type": "a string is needed",
        "int_type": "a whole number is needed",
        "float_type": "a number is needed",
        "bool_type": "true or false is needed",
        "list_type": "a list is needed",
        "dict_type": "a mapping is needed",
        "model_type": "a mapping is needed",
        "too_short": "must not be empty",
        "string_too_short": "must not be empty",
    },
)


def _problem(model: type[BaseModel], document: Document, found: ErrorDetails) -> Problem:
    path = _path(found["loc"])
    kind = found["type"]
    message = _SENTENCES.get(kind) or found["msg"].removeprefix("Value error, ")
    cure = _cure(model, path) if kind == "extra_forbidden" else ""
    if kind == "string_pattern_mismatch":
        message = f"not of the form {found['ctx']['pattern']}"
    return document.problem(path, message, cure)


_ADDED = re.compile(r"\[[a-z]+\]")


def _path(loc: tuple[int | str, ...]) -> Path:
    """Drop the parts of a location that pydantic adds and the file does not have: `[key]` of a mapping, `[tag]` of a form."""
    return tuple(part for part in loc if not (isinstance(part, str) and _ADDED.fullmatch(part)))


def _cure(model: type[BaseModel], path: Path) -> str:
    """Name the closest known key, or all of them."""
    fields = _model_at(model, path[:-1]).model_fields.items()
    known = sorted(field.alias or name for name, field in fields)
    close = get_close_matches(str(path[-1]), known, n=1)
    return f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"


def _model_at(model: type[BaseModel], path: Path) -> type[BaseModel]:
    for part in path:
        field = model.model_fields.get(str(part)) or next(
            (each for each in model.model_fields.values() if each.alias == part), None
        )
        if field is not None:
            model = _model_in(field.annotation) or model
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Find the model inside `list[M]`, `dict[str, M]`, `M | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((inner for part in get_args(annotation) if (inner := _model_in(part))), None)
