"""Verbalizers: what each label says in the blank, in one or several ways of any length."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from unblank.metrics.written_form import written_form
from unblank.near_names import did_you_mean
from unblank.prompting.yaml_lines import at_line
from unblank.tokenization.special import BLANK_TOKENS

__all__ = ["Verbalizer", "is_same_label", "label_text", "parse_verbalizer", "require_label"]

Verbalizer = Mapping[str, tuple[str, ...]]
"""Label -> its words; the probabilities of several wordings are summed."""


def parse_verbalizer(entries: Mapping[str, str | list[str]]) -> Verbalizer:
    """Return the words of each label, checked.

    Args:
        entries: label -> the words, or several alternatives.

    Raises:
        ValueError: fewer than two labels, the same label twice, empty words, words with a blank,
            or the same words for two labels.
    """
    if len(entries) < 2:
        first = next(iter(entries), "")
        raise ValueError(
            f"{at_line(first)}a verbalizer needs at least two labels, got {list(entries)}"
        )
    verbalizer: dict[str, tuple[str, ...]] = {}
    owners: dict[str, str] = {}
    known: dict[str | Decimal, str] = {}
    for label, entry in entries.items():
        if (meaning := _meaning(str(label))) in known:
            raise ValueError(
                f"{at_line(label)}labels {known[meaning]!r} and {label!r} are the same: leave one "
                "out"
            )
        known[meaning] = label
        words = (entry,) if isinstance(entry, str) else tuple(entry)
        if isinstance(entry, Mapping):
            raise ValueError(
                f"{at_line(label)}label {label!r} needs words or a list of them, got {entry!r}"
            )
        if not words or not all(isinstance(word, str) and word.strip() for word in words):
            raise ValueError(
                f"{at_line(label)}label {label!r} has an empty candidate: give it words"
            )
        for word in words:
            if owners.get(word.strip()) == label:
                raise ValueError(f"{at_line(word)}label {label!r} has the words {word!r} twice")
            if any(blank in word for blank in BLANK_TOKENS):
                raise ValueError(
                    f"{at_line(word)}label {label!r} has a blank in its words {word!r}: the words "
                    "fill the blank, so write plain text"
                )
            if word.strip() in owners:
                raise ValueError(
                    f"{at_line(word)}labels {owners[word.strip()]!r} and {label!r} have the same "
                    f"words {word!r}: "
                    "choose other words for one"
                )
            owners[word.strip()] = label
        verbalizer[str(label)] = words
    return verbalizer


def label_text(value: object) -> str:
    """Return a raw label of the data as verbalizers write it: true, 1, entailment.

    Example:
        >>> [label_text(value) for value in (True, 1, 1.0, "no")]
        ['true', '1', '1', 'no']
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def is_same_label(one: str, other: str) -> bool:
    """Whether two labels are the same text in whatever encoding, or numbers of one value.

    Example:
        >>> is_same_label("1.0", "1"), is_same_label("1", "yes")
        (True, False)
    """
    return one == other or _meaning(one) == _meaning(other)


def _meaning(label: str) -> str | Decimal:
    """Return the exact number that a label is, else its letters however they are encoded."""
    try:
        number = Decimal(label)
    except InvalidOperation:
        return written_form(label)
    return number if number.is_finite() else label


def require_label(label: str, labels: tuple[str, ...]) -> int:
    """Return the index of a label; numbers of one value are one label, as 1 and 1.0.

    Raises:
        ValueError: if it is none of these.
    """
    if label in labels:
        return labels.index(label)
    same = [index for index, known in enumerate(labels) if is_same_label(known, label)]
    if len(same) == 1:
        return same[0]
    hint = did_you_mean(label, labels)
    shown = ", ".join(labels[:8]) + ", ..." * (len(labels) > 8)
    raise ValueError(f"label {label!r} is not one of the task, which has {shown}{hint}")
