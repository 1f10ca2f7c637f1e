from dataclasses import fields

import pytest

from authz.config.native.limits import DrainModel, KeysModel, LimitsModel, bounds_of
from authz.config.settings import Drain, Fetching, Settings
from authz.core.request import Limits
from tests.support.policy_files import NATIVE, problems, settings


def test_a_file_without_the_sections_has_the_defaults_of_the_settings():
    loaded = settings(NATIVE)

    assert (Limits(), Fetching(), Drain()) == (loaded.limits, loaded.fetching, loaded.drain)


@pytest.mark.parametrize(("model", "setting"), [(KeysModel, Fetching), (DrainModel, Drain)])
def test_a_section_has_a_key_for_every_field_of_its_setting(model, setting):
    assert {field.name for field in fields(setting)} == set(model.model_fields)


def test_the_bounds_of_a_file_are_fields_of_the_settings():
    bounds = bounds_of(LimitsModel())

    assert {
        *(
            "limits",
            "max_body",
            "max_list",
            "list_items",
            "list_values",
            "held",
            "check_seconds",
            "tokens",
            "calls",
            "quiet",
        )
    } == set(bounds)
    assert bounds.keys() <= {field.name for field in fields(Settings)}
    assert 0.45 == bounds["check_seconds"]


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("limits: {max_body: 2048}", "limits.max_body: unknown key (known here: args_bytes, body_bytes"),
        ("keys: {min_age: 5}", "keys.min_age: unknown key (did you mean min_age_seconds?)"),
        (
            "keys: {min_age_seconds: 700}",
            "keys: min_age_seconds, max_age_seconds and stale_for_seconds must not",
        ),
        ("keys: {max_age_seconds: 90000}", "keys.max_age_seconds: "),
        ("drain: {grace_seconds: -1}", "drain.grace_seconds: "),
    ],
)
def test_a_key_has_the_name_of_the_file_and_bounds_of_its_own(section, expected):
    (found,) = problems(NATIVE + section + "\n")

    assert found.startswith(f"FILE:11: {expected}")
