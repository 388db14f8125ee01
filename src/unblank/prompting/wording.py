"""The words of a task in many languages: hints in patterns, whole patterns, and verbalizers.

A hint is a word of the prompt that is another one in each language, written like a field: `{q}` for
Question. A hint that bears the name of a derived field has a word for each of its values.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unblank.languages import find_language
from unblank.prompting.entries import line_of
from unblank.prompting.patterns import (
    FieldUse,
    Pattern,
    Template,
    fill_template,
    parse_pattern,
)
from unblank.prompting.verbalizers import Verbalizer, parse_verbalizer
from unblank.prompting.yaml_lines import LineText, at_line

__all__ = [
    "ENGLISH",
    "Wording",
    "read_universal",
    "read_verbalizers",
    "read_wordings",
    "words_of_all",
]

ENGLISH = "en"


@dataclass(frozen=True, slots=True)
class Wording:
    """How a task is asked in one language.

    Attributes:
        patterns: with the words of the language.
        derived: name of a derived field -> the word for each value of its source.
    """

    patterns: tuple[Pattern, ...]
    derived: Mapping[str, Mapping[str, str]]


def read_wordings(entries: Mapping[str, Any]) -> dict[str, Wording]:
    """Return language -> its wording, from `translated`, `hints` and `languages` of a task file.

    Raises:
        ValueError: a code of no language, a hint that a language lacks or has in vain, as many
            patterns in a language as there are not, or one from right to left that begins with its
            blank, as it does if it is written as it is displayed; the message names the line.
    """
    patterns, hints = entries.get("translated", []), entries.get("hints", {})
    whole = entries.get("languages", {})
    if not patterns:
        for key in ("hints", "languages"):
            if key in entries:
                raise ValueError(f"{line_of(entries, key)}{key} needs patterns under `translated`")
        return {}
    codes = _by_code(hints) or _by_code(whole)
    if ENGLISH not in codes:
        key = "hints" if hints else "languages"
        line = line_of(entries, key) or line_of(entries, "translated")
        raise ValueError(
            f"{line}{key} must have the language {ENGLISH}, in which every other one can be asked"
        )
    derived = entries.get("derive", {})
    own = {code: _patterns(texts, patterns) for code, texts in _by_code(whole).items()}
    for code, found in own.items():
        _require_logical_order(code, found, _patterns(patterns, patterns))
    if unknown := [code for code in own if hints and code not in codes]:
        raise ValueError(f"{line_of(whole, unknown[0])}hints lacks the language {unknown[0]}")
    names = dict.fromkeys(name for words in codes.values() for name in words) if hints else {}
    wordings = {}
    for code, words in codes.items():
        given = words if hints else {}
        if lacking := [name for name in names if name not in given]:
            raise ValueError(f"{at_line(code)}hints of {code} lack {lacking[0]!r}")
        plain = {name: word for name, word in given.items() if isinstance(word, str)}
        of_values = {name: word for name, word in given.items() if not isinstance(word, str)}
        _check_derived(code, of_values, derived)
        parsed = own[code] if code in own else _patterns(patterns, patterns)
        filled = tuple(_with_words(pattern, plain) for pattern in parsed)
        wordings[str(code)] = Wording(filled, of_values)
    _require_used(
        names, [*_patterns(patterns, patterns), *(p for one in own.values() for p in one)]
    )
    return wordings


def _require_logical_order(code: str, own: Sequence[Pattern], usual: Sequence[Pattern]) -> None:
    """Refuse a pattern from right to left that is written from left to right."""
    if not find_language(code).is_right_to_left:
        return
    for number, (pattern, other) in enumerate(zip(own, usual, strict=True)):
        if _says_something(other.before) and not _says_something(pattern.before):
            raise ValueError(
                f"{at_line(code)}pattern {number} of {code} begins with its blank, which others do "
                "not: write it in the order of reading, the blank behind what introduces it, "
                "though it is displayed from right to left"
            )


def _says_something(template: Template) -> bool:
    """Whether there is a field or a word in a part of a pattern, and not marks alone."""
    return any(isinstance(part, FieldUse) or re.search(r"\w", part) for part in template)


def read_universal(entries: Mapping[str, Any]) -> tuple[Pattern, ...]:
    """Return the patterns that have no words; errors as for `parse_pattern`."""
    return tuple(map(parse_pattern, entries.get("universal", [])))


def read_verbalizers(
    entries: Mapping[str, Any], labels: Sequence[str], usual: Verbalizer, language: str
) -> dict[str, Verbalizer]:
    """Return language -> its verbalizer, from `verbalizers` of a task file.

    Args:
        entries: the file.
        labels: of the task.
        usual: the verbalizer of the task as it stands; that of its language if there is no other.
        language: of the task's own patterns.

    Raises:
        ValueError: a code of no language, or other labels; the message names the line.
    """
    found = {language: usual} if usual else {}
    for code, words in _by_code(entries.get("verbalizers", {})).items():
        if not labels:
            line = line_of(entries, "verbalizers")
            raise ValueError(f"{line}verbalizers need labels, and this task has candidates")
        verbalizer = parse_verbalizer(words)
        if set(verbalizer) != set(labels):
            raise ValueError(
                f"{at_line(code)}the verbalizer of {code} has the labels {list(verbalizer)}, but "
                f"the task has {list(labels)}"
            )
        found[str(code)] = {label: verbalizer[label] for label in labels}
    return found


def words_of_all(verbalizers: Mapping[str, Verbalizer]) -> Verbalizer:
    """Return the words of each label in all languages, each once.

    Raises:
        ValueError: if words of one label are those of another one in another language.
    """
    words: dict[str, list[str]] = {}
    for verbalizer in verbalizers.values():
        for label, ways in verbalizer.items():
            known = words.setdefault(label, [])
            known += [way for way in ways if way not in known]
    return parse_verbalizer({label: list(ways) for label, ways in words.items()}) if words else {}


def _by_code(entries: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries by the usual codes of their languages, which know their lines."""
    found: dict[str, Any] = {}
    for given, value in entries.items():
        try:
            code = find_language(str(given)).code
        except ValueError as error:
            raise ValueError(f"{at_line(given)}{error}") from error
        if code in found:
            raise ValueError(f"{at_line(given)}the language {code} occurs twice")
        if not isinstance(value, dict | list):
            raise ValueError(f"{at_line(given)}{given} needs words or patterns, got {value!r}")
        found[LineText(code, getattr(given, "line", 0))] = value
    return found


def _patterns(texts: Sequence[str], usual: Sequence[str]) -> tuple[Pattern, ...]:
    if len(texts) != len(usual):
        raise ValueError(
            f"{at_line(texts[0] if texts else usual[0])}there are {len(texts)} patterns in a "
            f"language and {len(usual)} under `translated`: give one for each"
        )
    return tuple(map(parse_pattern, texts))


def _with_words(pattern: Pattern, words: Mapping[str, str]) -> Pattern:
    """Return a pattern with words in place of some of its fields."""
    before, after = (_joined(_filled(part, words)) for part in (pattern.before, pattern.after))
    text = "".join(map(str, (*before, pattern.blank, *after)))
    return Pattern(LineText(text, getattr(pattern.text, "line", 0)), before, pattern.blank, after)


def _filled(template: Template, words: Mapping[str, str]) -> Iterator[str | FieldUse]:
    for part in template:
        is_hint = isinstance(part, FieldUse) and part.name in words
        yield fill_template((part,), words) if is_hint else part


def _joined(parts: Iterator[str | FieldUse]) -> Template:
    joined: list[str | FieldUse] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part != "":
            joined.append(part)
    return tuple(joined)


def _check_derived(
    code: str, words: Mapping[str, Any], derived: Mapping[str, Mapping[str, Any]]
) -> None:
    for name, of_values in words.items():
        if name not in derived:
            raise ValueError(
                f"{at_line(name)}the hint {name} must be a text: no derived field has that name"
            )
        if set(of_values) != set(derived[name]["words"]):
            raise ValueError(
                f"{at_line(name)}the hint {name} of {code} has words for {list(of_values)}, but "
                f"{name} is derived from {list(derived[name]['words'])}"
            )


def _require_used(names: Collection[str], patterns: Sequence[Pattern]) -> None:
    used = {name for pattern in patterns for name in pattern.fields}
    for name in names:
        if name not in used:
            raise ValueError(f"{at_line(name)}no pattern under `translated` uses the hint {name!r}")
