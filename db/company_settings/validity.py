"""Which saved settings can be used. What cannot be counts as not chosen, and is told: rows are
older than rules, and somebody may have changed them by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import cache
from typing import Any, TypeVar, get_type_hints

AnySettings = TypeVar("AnySettings", bound=Any)
# Marks a field that nobody chooses.
OBSERVED = "observed"


class ChoiceError(ValueError):
    """A setting that cannot be saved; the message says what would be accepted."""


def read_group(settings: object, key: str) -> Mapping[str, Any]:
    """One group of a company's settings, empty where there is nothing that can be read."""
    kept = settings.get(key) if isinstance(settings, Mapping) else None
    return kept if isinstance(kept, Mapping) else {}


def keep_valid(
    values: AnySettings, otherwise: AnySettings, check: Callable[[AnySettings], None]
) -> tuple[AnySettings, dict[str, str]]:
    """The values that are right, with `otherwise` in place of the wrong ones; and the error of each
    wrong one, by its name. Each is checked together with those that are right; switches come last,
    since they may depend on the others."""
    faults: dict[str, str] = {}
    right = otherwise
    for name, value in sorted(list_values(values), key=lambda item: isinstance(item[1], bool)):
        tried = replace(right, **{name: value})
        try:
            check_kind(type(values), name, value)
            check(tried)
        except ChoiceError as error:
            faults[name] = str(error)
        else:
            right = tried
    return right, faults


def list_values(values: Any) -> list[tuple[str, Any]]:
    """What was chosen, without what is only carried along."""
    chosen = (field for field in fields(values) if not field.metadata.get(OBSERVED))
    return [(field.name, getattr(values, field.name)) for field in chosen]


def check_kind(settings: type, name: str, value: object) -> None:
    """Raises ChoiceError."""
    kind = list_kinds(settings)[name]
    # To Python true is a number, and to us it is not.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ChoiceError("it is of another kind than this setting")


@cache
def list_kinds(settings: type) -> dict[str, Any]:
    return get_type_hints(settings)
