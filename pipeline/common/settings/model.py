"""What a settings model is, and the marks of its fields: the group that help shows them in, and who is told of them.

A field is shown in the ``group`` of the class that declares it first, unless a mark says another: ``Input[str]``. A
class that declares a field anew, for another default or description, need not repeat the marks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict

SettingsT = TypeVar("SettingsT", bound=BaseModel)
T = TypeVar("T")


class JobSettings(BaseModel):
    """Base of all settings models: unknown keys are refused, numbers are finite, values do not change after parsing."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    group: ClassVar[str] = "run"
    """Where help shows the fields that this class declares."""
    advanced: ClassVar[bool] = False
    """Whether they are all for --help-all alone."""

    def part(self, model: type[SettingsT]) -> SettingsT:
        """Those of the settings that are ``model``'s."""
        return model.model_validate(self.model_dump(include=set(model.model_fields)))


@dataclass(frozen=True)
class Group:
    """Where help shows a field, whichever class declares it."""

    title: str


@dataclass(frozen=True)
class Mark:
    """Something else that is to be known of a field."""

    name: str


ADVANCED, NEEDED, POSITIONAL, FOUND = Mark("advanced"), Mark("needed"), Mark("positional"), Mark("found")

Input = Annotated[T, Group("input")]
"""What is read, and what else must be known of it."""
Output = Annotated[T, Group("output")]
"""What is written, and how it is laid down."""
Measure = Annotated[T, Group("measure")]
"""How the result is measured."""
Run = Annotated[T, Group("run")]
"""How the work is done, on this machine."""
Cluster = Annotated[T, Group("cluster")]
"""On which other machines."""
Advanced = Annotated[T, ADVANCED]
"""Shown by --help-all alone."""
Needed = Annotated[T, NEEDED]
"""Required, for all that it may be None: the job itself says best what to do without it."""
Found = Annotated[T, FOUND]
"""Found by the job itself, and kept among its settings: no option, neither of a command line nor of a file."""
Positional = Annotated[T, POSITIONAL]
"""Given by its place on the command line, without a flag."""
