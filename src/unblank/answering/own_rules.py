"""The rules that a field of a record sets on its own text."""

import json
from collections.abc import Mapping
from typing import Any

from unblank.data.fields import raw_value
from unblank.rules.rule import Rule, read_rules

__all__ = ["rules_of_record"]


def rules_of_record(place: str, record: Mapping[str, Any], name: str | None) -> tuple[Rule, ...]:
    """Return the rules that a field holds; an empty one holds none.

    Args:
        place: file and line of the record, for messages.
        record: name -> value.
        name: of the field; None for no field.

    Raises:
        ValueError: there is no such field, or it holds something else.
    """
    value = None if name is None else raw_value(place, record, name)
    if value in (None, "", []):
        return ()
    try:
        if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
            value = _read_json(value)
        return read_rules(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{place}: field {name!r}: {error}") from error


def _read_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{text[:80]!r} begins like JSON, but is not valid ({error}): give a list such as "
            '["words=1", "1: case=lower"], or one rule without brackets'
        ) from error
