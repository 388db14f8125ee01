"""Patterns: one line of text with `{field}`s and one blank, filled from an example's fields.

A field may pass through filters, `{premise|bare}`. A pattern that is too long for the model loses
text from the fields that the task names, never the blank. Values are only text: a `[MASK]` or a
brace in the data is spelt out.
"""

import re
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from unicodedata import category

from unblank.data.fields import no_field
from unblank.plurals import counted
from unblank.prompting.yaml_lines import LineText, at_line
from unblank.tokenization.encoding import encode_around_blanks
from unblank.tokenization.special import BLANK_TOKENS, GMASK_TOKEN, SpecialIds

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = [
    "End",
    "FieldUse",
    "FilledPattern",
    "Pattern",
    "Template",
    "fill_pattern",
    "fill_template",
    "fit_fields",
    "fit_pattern",
    "parse_pattern",
    "parse_template",
]

End = Literal["start", "end"]
"""At which end a field is shortened."""

_BLANK = re.compile("(" + "|".join(map(re.escape, BLANK_TOKENS)) + ")")
_FIELD = re.compile(r"\{([^{}]*)\}")


def _bare(text: str) -> str:
    end = len(text.rstrip())
    while end and (text[end - 1] in string.punctuation or category(text[end - 1])[0] == "P"):
        end -= 1
    return text[:end]


def _uncapitalized(text: str) -> str:
    return text[:1].lower() + text[1:]


_FILTERS: dict[str, Callable[[str], str]] = {"bare": _bare, "uncapitalized": _uncapitalized}
"""`bare` removes punctuation at the end, `uncapitalized` lower-cases the first letter."""


@dataclass(frozen=True, slots=True)
class FieldUse:
    """A field in a template, and the filters that its value passes."""

    name: str
    filters: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "{" + "|".join([self.name, *self.filters]) + "}"


Template = tuple[str | FieldUse, ...]
"""Text and fields, one after another."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A cloze question.

    Attributes:
        text: as written.
        before: what comes before the blank.
        blank: `[MASK]`, `[sMASK]` or `[gMASK]`.
        after: what comes after it.
    """

    text: str
    before: Template
    blank: str
    after: Template

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields, in order, each as often as it is used."""
        parts = (*self.before, *self.after)
        return tuple(part.name for part in parts if isinstance(part, FieldUse))


@dataclass(frozen=True, slots=True)
class FilledPattern:
    """A pattern with the values of one example.

    Attributes:
        before: text before the blank.
        blank: the blank.
        after: text after it.
        token_ids: Part A; empty until the pattern is fitted.
        num_removed: tokens that each shortened field lost.
    """

    before: str
    blank: str
    after: str
    token_ids: tuple[int, ...] = ()
    num_removed: Mapping[str, int] | None = None

    @property
    def text(self) -> str:
        """The filled pattern."""
        return self.before + self.blank + self.after


def parse_template(text: str) -> Template:
    """Return the parts of a text with `{field}`s.

    Raises:
        ValueError: for a stray brace, an empty field name or a filter that does not exist.

    Example:
        >>> parse_template('"{hypothesis|bare}" ?')
        ('"', FieldUse(name='hypothesis', filters=('bare',)), '" ?')
    """
    pieces = _FIELD.split(text)
    for literal in pieces[0::2]:
        if "{" in literal or "}" in literal:
            raise ValueError(f"{at_line(text)}{text!r} has a stray brace: write fields as {{name}}")
    uses = [_parse_field(inner, text) for inner in pieces[1::2]]
    parts: list[str | FieldUse] = [pieces[0]]
    for use, literal in zip(uses, pieces[2::2], strict=True):
        parts += [use, literal]
    return tuple(part for part in parts if part != "")


def parse_pattern(text: str) -> Pattern:
    """Return the pattern that a line of text stands for.

    Raises:
        ValueError: unless there is exactly one blank, or as in `parse_template`.
    """
    pieces = _BLANK.split(text)
    if len(pieces) != 3:
        raise ValueError(
            f"{at_line(text)}pattern {text!r} has {counted(len(pieces) // 2, 'blank')}: write "
            f"exactly one of {', '.join(BLANK_TOKENS)}, where the answer belongs"
        )
    before, blank, after = pieces
    line = getattr(text, "line", 0)
    templates = [parse_template(LineText(part, line)) for part in (before, after)]
    return Pattern(text, templates[0], blank, templates[1])


def fill_template(template: Template, fields: Mapping[str, str]) -> str:
    """Return the text with the fields' values.

    Raises:
        ValueError: if a field is missing.
    """
    return "".join(part if isinstance(part, str) else _value(part, fields) for part in template)


def fill_pattern(pattern: Pattern, fields: Mapping[str, str]) -> FilledPattern:
    """Return the pattern with the fields' values, of any length.

    Raises:
        ValueError: if a field is missing.
    """
    before, after = fill_template(pattern.before, fields), fill_template(pattern.after, fields)
    return FilledPattern(before, pattern.blank, after)


def fit_pattern(
    tokenizer: "PreTrainedTokenizerFast",
    special: SpecialIds,
    pattern: Pattern,
    fields: Mapping[str, str],
    *,
    shorten: Mapping[str, End] | None,
    max_tokens: int,
) -> FilledPattern:
    """Return the filled pattern as Part A of at most `max_tokens`: [CLS], the text, an end.

    Args:
        tokenizer: of the model.
        special: its special tokens.
        pattern: the pattern.
        fields: the example's values.
        shorten: fields that give way, in this order, each until it is empty, and at which end;
            None for the longest first, at its end.
        max_tokens: room for Part A.

    Raises:
        ValueError: if a field is missing, or all fields that give way do not make enough room.
    """

    def encode(values: Mapping[str, str]) -> list[int]:
        filled = fill_pattern(pattern, values)
        ids = encode_around_blanks(tokenizer, [filled.before, filled.after], [filled.blank])
        ends_open = filled.blank == GMASK_TOKEN and not filled.after.strip()
        return [*special.start, *ids, *([] if ends_open else [special.eos])]

    fitted = fit_fields(
        tokenizer, fields, encode, uses=pattern.fields, shorten=shorten, max_tokens=max_tokens
    )
    filled = fill_pattern(pattern, fitted.fields)
    return FilledPattern(
        filled.before, filled.blank, filled.after, fitted.token_ids, fitted.num_removed
    )


@dataclass(frozen=True, slots=True)
class FittedFields:
    """Values short enough, and what they look like as tokens.

    Attributes:
        fields: the values.
        token_ids: of all of them together.
        num_removed: tokens that each shortened field lost.
    """

    fields: Mapping[str, str]
    token_ids: tuple[int, ...]
    num_removed: Mapping[str, int]


def fit_fields(
    tokenizer: "PreTrainedTokenizerFast",
    fields: Mapping[str, str],
    encode: Callable[[Mapping[str, str]], list[int]],
    *,
    uses: Sequence[str],
    shorten: Mapping[str, End] | None,
    max_tokens: int,
) -> FittedFields:
    """Return values that take at most `max_tokens` together.

    Args:
        tokenizer: of the model.
        fields: the values.
        encode: makes tokens of all values.
        uses: names of the fields in what `encode` makes, each as often as it is used.
        shorten: fields that give way, in this order, each until it is empty, and at which end;
            None for the longest first, at its end.
        max_tokens: room.

    Raises:
        ValueError: if a field is missing, or all fields that give way do not make enough room.
    """
    values, removed = dict(fields), dict[str, int]()
    ids = encode(values)
    order = _longest_first(values, uses) if shorten is None else shorten
    for name, end in order.items():
        num_uses = uses.count(name)
        while num_uses and len(ids) > max_tokens and values[name]:
            excess = -(-(len(ids) - max_tokens) // num_uses)
            values[name] = _cut(tokenizer, values[name], excess, end)
            num_before, ids = len(ids), encode(values)
            removed[name] = removed.get(name, 0) + num_before - len(ids)
    if len(ids) > max_tokens:
        without = f", even without {', '.join(order)}" if order else ""
        raise ValueError(
            f"the text has {len(ids)} tokens and there is room for {max_tokens}{without}: name "
            "fields under `shorten`, use a shorter pattern, or raise max_length"
        )
    return FittedFields(values, tuple(ids), removed)


def _longest_first(values: Mapping[str, str], uses: Sequence[str]) -> dict[str, End]:
    names = sorted(dict.fromkeys(uses), key=lambda name: len(values[name]), reverse=True)
    return dict.fromkeys(names, "end")


def _cut(tokenizer: "PreTrainedTokenizerFast", text: str, num_tokens: int, end: End) -> str:
    """Return the text without its first or last tokens; shorter than it was in any case."""
    offsets = tokenizer(
        text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True,
        verbose=False,
    )["offset_mapping"]  # fmt: skip
    if num_tokens >= len(offsets):
        return ""
    if end == "end":
        return text[: min(offsets[-num_tokens][0], len(text) - 1)].rstrip()
    return text[max(offsets[num_tokens][0], 1) :].lstrip()


def _parse_field(inner: str, text: str) -> FieldUse:
    name, *filters = (piece.strip() for piece in inner.split("|"))
    if not name:
        raise ValueError(f"{at_line(text)}{text!r} has a field without a name: write {{name}}")
    for filter_name in filters:
        if filter_name not in _FILTERS:
            raise ValueError(
                f"{at_line(text)}{text!r} has the unknown filter {filter_name!r}: "
                f"choose one of {', '.join(_FILTERS)}"
            )
    return FieldUse(name, tuple(filters))


def _value(use: FieldUse, fields: Mapping[str, str]) -> str:
    if use.name not in fields:
        raise ValueError(no_field(fields, use.name))
    value = fields[use.name]
    for name in use.filters:
        value = _FILTERS[name](value)
    return value
