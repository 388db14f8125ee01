"""Records of several layouts as two sentences, the acceptable one first.

`sentences` has them ready. `copa` (COPA, XCOPA) puts the premise and each alternative into the
order in which things happen, so that no word of any language joins them. `winograd` puts each
candidate in the place of the pronoun (Trinh and Le 2018).
"""

from collections.abc import Callable, Mapping
from typing import Any

from unblank.data.fields import no_field
from unblank.prompting.readers import pronoun_span

__all__ = ["PAIR_READERS", "text_in"]

Fields = Mapping[str, Any]


def text_in(record: Fields, name: str) -> str:
    """Return the text of a field.

    Raises:
        ValueError: it is not there, is no text, or is empty.
    """
    value = _value(record, name)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"field {name!r} must be a text, got {value!r}")
    return value.strip()


def _copa(record: Fields, good: str, bad: str) -> tuple[str, str]:
    """Return premise and alternatives as two sentences each."""
    premise = text_in(record, "premise")
    choices = [text_in(record, name) for name in ("choice1", "choice2")]
    question, label = text_in(record, "question"), _value(record, "label")
    if question not in ("cause", "effect") or label not in (0, 1):
        raise ValueError(
            f"question is {question!r} and label {label!r}: they must be cause or effect, and 0 or "
            "1"
        )
    right, wrong = choices[label], choices[1 - label]
    if question == "cause":
        return f"{right} {premise}", f"{wrong} {premise}"
    return f"{premise} {right}", f"{premise} {wrong}"


def _winograd(record: Fields, good: str, bad: str) -> tuple[str, str]:
    """Return the sentence with each candidate for its pronoun."""
    sentence = text_in(record, "sentence")
    candidates = _value(record, "candidates")
    right = [one["text"] for one in candidates if one["is_antecedent"]]
    wrong = [one["text"] for one in candidates if not one["is_antecedent"]]
    if (len(right), len(wrong)) != (1, 1):
        raise ValueError(
            f"there are {len(right)} right and {len(wrong)} wrong candidates: one of each is needed"
        )
    first, last = pronoun_span(record)
    return (
        sentence[:first] + right[0] + sentence[last:],
        sentence[:first] + wrong[0] + sentence[last:],
    )


def _sentences(record: Fields, good: str, bad: str) -> tuple[str, str]:
    """Return the texts of two fields."""
    return text_in(record, good), text_in(record, bad)


PAIR_READERS: dict[str, Callable[[Fields, str, str], tuple[str, str]]] = {
    "sentences": _sentences,
    "copa": _copa,
    "winograd": _winograd,
}
"""Name of a layout -> what makes a pair of a record; the fields are those of a `PairSet`."""


def _value(record: Fields, name: str) -> Any:
    if name not in record:
        raise ValueError(no_field(record, name))
    return record[name]
