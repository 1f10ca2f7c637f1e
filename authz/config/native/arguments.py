"""The declared arguments of a rule as models: the name of a type, or a small schema in the words of JSON Schema."""

import json
from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from authz.config.validation import Section, Text
from authz.core.policy.rule import TYPES, Arguments, ValueTest
from authz.core.policy.value_schema import KEYWORD_TYPES, Test, ValueSchema, bound, one_of, pattern

_OPTIONAL = "?"
_MAX_PATTERN = 1000
_BOUNDS = ("minLength", "maxLength", "minItems", "maxItems")
_LIMITS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")


def _type_name(text: str) -> str:
    """Accept the name of a type that a rule can test; the error names them all."""
    Arguments({"": text})
    return text


def _plain_type(text: str) -> str:
    if text not in TYPES:
        msg = f"unknown type {text}; known: {', '.join(TYPES)}"
        raise ValueError(msg)
    return text


def _usable(text: str) -> str:
    pattern(text)
    return text


def _scalar(value: Any) -> Any:
    if not isinstance(value, dict | list):
        return value
    msg = "a string, a number, true, false or null is needed"
    raise ValueError(msg)


def _form(value: Any) -> str:
    return "[schema]" if isinstance(value, dict | ValueModel) else "[name]"


TypeName = Annotated[
    str,
    AfterValidator(_type_name),
    Field(json_schema_extra={"enum": [name + mark for name in TYPES for mark in ("", _OPTIONAL)]}),
]
Number = Annotated[float, Field(allow_inf_nan=False)]
Scalar = Annotated[
    Any,
    AfterValidator(_scalar),
    Field(json_schema_extra={"type": ["string", "number", "boolean", "null"]}),
]
Length = Annotated[int, Field(ge=0)]


class ValueModel(Section):
    """What is asked of a value, in the words of JSON Schema; every keyword belongs to the type."""

    type: Annotated[str, AfterValidator(_plain_type), Field(json_schema_extra={"enum": [*TYPES]})] = "any"
    optional: bool = Field(default=False, description="whether the argument may be left out")
    enum: Annotated[list[Scalar], Field(min_length=1)] | None = None
    pattern: Annotated[str, Field(max_length=_MAX_PATTERN), AfterValidator(_usable)] | None = Field(
        None, description="RE2, found anywhere in the text unless it has ^ and $"
    )
    min_length: Length | None = Field(None, alias="minLength")
    max_length: Length | None = Field(None, alias="maxLength")
    minimum: Number | None = None
    maximum: Number | None = None
    exclusive_minimum: Number | None = Field(None, alias="exclusiveMinimum")
    exclusive_maximum: Number | None = Field(None, alias="exclusiveMaximum")
    items: "Argument | None" = None
    min_items: Length | None = Field(None, alias="minItems")
    max_items: Length | None = Field(None, alias="maxItems")
    properties: "dict[Text, Argument] | None" = None
    required: list[Text] | None = None
    additional_properties: bool | None = Field(None, alias="additionalProperties")
    description: Text | None = None

    @model_validator(mode="after")
    def _keywords_of_the_type(self) -> "ValueModel":
        given = self.model_dump(by_alias=True, exclude_none=True, exclude_defaults=True)
        for keyword, types in KEYWORD_TYPES.items():
            if keyword in given and self.type not in types:
                msg = f"{keyword} is about values of type {' or '.join(sorted(types))}; write that type"
                raise ValueError(msg)
        if not given.keys() & {"type", "enum"}:
            msg = "asks for nothing: write type or enum"
            raise ValueError(msg)
        unknown = set(self.required or ()) - (self.properties or {}).keys()
        if unknown:
            msg = f"required names {', '.join(sorted(unknown))}, which properties does not have"
            raise ValueError(msg)
        return self


Argument = Annotated[
    Annotated[TypeName, Tag("[name]")] | Annotated[ValueModel, Tag("[schema]")], Discriminator(_form)
]
ValueModel.model_rebuild()


def arguments_of(declared: dict[str, Any], *, extra: bool) -> Arguments:
    """Return declared arguments as a rule tests them."""
    return Arguments(
        {name: each if isinstance(each, str) else _schema(each) for name, each in declared.items()},
        extra=extra,
    )


def _as_written(value: Any) -> Any:
    """Return a bound without the fraction that reading it as a number gave it."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _schema(model: ValueModel, *, optional: bool | None = None) -> ValueSchema:
    given = model.model_dump(by_alias=True, exclude_none=True, exclude_unset=True)
    tests: list[Test] = [
        bound(keyword, given[keyword]) for keyword in (*_BOUNDS, *_LIMITS) if keyword in given
    ]
    if model.enum is not None:
        tests.append(one_of(model.enum))
    if model.pattern is not None:
        tests.append(pattern(model.pattern))
    items, members = _items(model.items), _members(model)
    return ValueSchema(
        text=json.dumps(
            {key: _as_written(given[key]) for key in given if key != "description"}, ensure_ascii=False
        ),
        type_=model.type,
        optional=model.optional if optional is None else optional,
        reads_text=model.pattern is not None
        or (isinstance(items, ValueSchema) and items.reads_text)
        or (members is not None and members.reads_text),
        tests=tuple(tests),
        items=items,
        members=members,
    )


def _items(model: Any) -> ValueSchema | str | None:
    if model is None or isinstance(model, ValueModel):
        return None if model is None else _schema(model)
    return str(model).removesuffix(_OPTIONAL)


def _members(model: ValueModel) -> Arguments | None:
    """Return what is asked of an object's members; one that is not `required` may be left out."""
    if model.properties is None and model.additional_properties is not False:
        return None
    required = frozenset(model.required or ())
    types: dict[str, str | ValueTest] = {}
    for name, each in (model.properties or {}).items():
        if isinstance(each, ValueModel):
            types[name] = _schema(each, optional=name not in required)
        else:
            types[name] = each.removesuffix(_OPTIONAL) + ("" if name in required else _OPTIONAL)
    return Arguments(types, extra=model.additional_properties is not False)
