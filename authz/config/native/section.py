"""What all sections of a policy file have in common: no key is unknown, no value is converted, none changes."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

Text = Annotated[str, StringConstraints(min_length=1, max_length=8192)]


class Section(BaseModel):
    """A mapping of the file whose keys are known."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
