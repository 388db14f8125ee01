"""From a raw record to questions: plain records, SuperGLUE's nested ones, Winograd schemas.

A reader knows the layout of the data and nothing else; fields derived from others, candidates and
labels are described in the task's YAML.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from unblank.data.fields import no_field, with_nested

__all__ = ["READERS", "RawExample", "pronoun_span"]

_Kind = TypeVar("_Kind")


@dataclass(frozen=True, slots=True)
class RawExample:
    """One question as the data holds it.

    Attributes:
        fields: raw values by name.
        label: raw label; None if there is none.
        candidates: what may fill the blank, if the data says it.
        answers: indices of the right candidates, if the data says it.
        group: names questions that are judged together, within a record.
    """

    fields: Mapping[str, Any]
    label: Any = None
    candidates: tuple[str, ...] = ()
    answers: tuple[int, ...] = ()
    group: str = ""


def _records(record: Mapping[str, Any], label_field: str) -> list[RawExample]:
    """A record is a question, its keys are fields, those inside others by names with dots."""
    found = with_nested(record)
    fields = {name: value for name, value in found.items() if name != label_field}
    return [RawExample(fields, found.get(label_field))]


def _multirc(record: Mapping[str, Any], label_field: str) -> list[RawExample]:
    """MultiRC: a passage has questions, a question has answers, each of them right or wrong."""
    passage = _get(record, "passage")
    return [
        RawExample(
            fields={
                "passage": _text(passage, "text").strip(),
                "question": _get(question, "question"),
                "answer": _get(answer, "text"),
            },
            label=answer.get(label_field),
            group=str(number),
        )
        for number, question in enumerate(_list(passage, "questions"))
        for answer in _list(question, "answers")
    ]


def _record(record: Mapping[str, Any], _label_field: str) -> list[RawExample]:
    """ReCoRD: which entity of the passage stands at `@placeholder` in each query."""
    passage = _get(record, "passage")
    text = _text(passage, "text")
    places = [(_whole(e, "start"), _whole(e, "end") + 1) for e in _list(passage, "entities")]
    entities = sorted({text[start:stop].strip() for start, stop in places})
    examples = []
    for question in _list(record, "qas"):
        before, placeholder, after = _text(question, "query").partition("@placeholder")
        if not placeholder:
            raise ValueError(f"the query {before!r} has no @placeholder")
        answers = _list(question, "answers") if "answers" in question else []
        right = {_text(answer, "text").strip() for answer in answers}
        if unknown := sorted(right.difference(entities)):
            raise ValueError(f"the answer {unknown[0]!r} is not an entity of the passage")
        examples.append(
            RawExample(
                fields={
                    "passage": text.replace("@highlight\n", "- "),
                    "before": before,
                    "after": after,
                },
                candidates=tuple(entities),
                answers=tuple(i for i, entity in enumerate(entities) if entity in right),
            )
        )
    return examples


def _wsc(record: Mapping[str, Any], label_field: str) -> list[RawExample]:
    """WSC: what a pronoun refers to; the first candidate is the phrase that the label is about.

    The others are the record's own `candidates`, or phrases guessed from the sentence. The word
    indices of the published data are sometimes off by one and are put right.
    """
    target = _get(record, "target")
    words = _text(record, "text").split()
    span, pronoun = _text(target, "span1_text"), _text(target, "span2_text")
    place = _pronoun_place(words, _whole(target, "span2_index"), pronoun)
    marked = [*words]
    marked[place] = words[place].replace(pronoun.split()[0], f"*{pronoun.split()[0]}*", 1)
    others = _list(record, "candidates") if record.get("candidates") is not None else None
    others = guess_noun_phrases(words) if others is None else others
    if not all(isinstance(other, str) for other in others):
        raise ValueError(f"field 'candidates' must be a list of texts, got {others!r}")
    skip = {_plain(span), _plain(pronoun)}
    unique = {_plain(other): other for other in reversed(others) if _plain(other) not in skip}
    return [
        RawExample(
            fields={"text": " ".join(marked), "pronoun": pronoun, "span": span},
            label=record.get(label_field),
            candidates=(span, *reversed(unique.values())),
        )
    ]


def _winograd(record: Mapping[str, Any], _label_field: str) -> list[RawExample]:
    """XWinograd: which candidate a pronoun stands for, in the place of the pronoun."""
    sentence = _text(record, "sentence")
    first, last = pronoun_span(record)
    candidates = _list(record, "candidates")
    return [
        RawExample(
            fields={"before": sentence[:first], "after": sentence[last:]},
            candidates=tuple(_text(one, "text") for one in candidates),
            answers=tuple(
                place
                for place, one in enumerate(candidates)
                if str(_get(one, "is_antecedent")).lower() == "true"
            ),
        )
    ]


READERS: dict[str, Callable[[Mapping[str, Any], str], list[RawExample]]] = {
    "records": _records,
    "multirc": _multirc,
    "record": _record,
    "wsc": _wsc,
    "winograd": _winograd,
}
"""Every reader by the name that a task's YAML file uses."""


def pronoun_span(record: Mapping[str, Any]) -> tuple[int, int]:
    """Return first character and end of the pronoun in the sentence of a Winograd schema.

    Raises:
        ValueError: a field is missing or of another shape, or the pronoun is not where the tokens
            say.
    """
    sentence, pronoun = _text(record, "sentence"), _text(record, "pronoun")
    span, tokens, end = _list(record, "pronoun_span"), _list(record, "tokens"), 0
    if not span or not str(span[0]).isdecimal():
        raise ValueError(f"field 'pronoun_span' must begin with the number of a token, got {span}")
    if not all(isinstance(token, str) for token in tokens):
        raise ValueError(f"field 'tokens' must be a list of texts, got {tokens}")
    for token in tokens[: int(span[0])]:
        start = sentence.find(token, end)
        if start >= 0:  # quotes have another form among the tokens
            end = start + len(token)
    first = sentence.find(pronoun, end)
    if first < 0:
        raise ValueError(f"the pronoun {pronoun!r} is not in its place in {sentence!r}")
    return first, first + len(pronoun)


_DETERMINER_WORDS = """a an the this that these those my your his her its our their some any no
every each"""
_OTHER_WORDS = """i you he she it we they me him them us who whom which what and or but because so
if when while although though since as than of in on at by to for from with without about into over
after before under is are was were be been being has have had do does did will would can could
shall should may might must not very too there then"""
_DETERMINERS, _NO_NOUN = frozenset(_DETERMINER_WORDS.split()), frozenset(_OTHER_WORDS.split())
_LONGEST_PHRASE = 4


def guess_noun_phrases(words: list[str]) -> list[str]:
    """Return phrases of a sentence that may be things or persons, in order.

    A rule of thumb without a parser: a determiner and up to three words after it, or words with
    capitals, until punctuation or a word that ends a phrase.

    Example:
        >>> guess_noun_phrases("The path to the lake was blocked, so Ann Lee left.".split())
        ['The path', 'the lake', 'Ann Lee']
    """
    phrases, place = [], 0
    while place < len(words):
        stop = _phrase_end(words, place)
        if stop == place:
            place += 1
            continue
        phrases.append(_trimmed(" ".join(words[place:stop])))
        place = stop
    return list(dict.fromkeys(phrase for phrase in phrases if phrase))


def _phrase_end(words: list[str], start: int) -> int:
    """Return the place after the phrase that begins here, or `start` if none does."""
    first = _plain(words[start])
    has_determiner = first in _DETERMINERS
    if not has_determiner and (not words[start][:1].isupper() or first in _NO_NOUN):
        return start
    stop = start + 1
    while stop < len(words) and stop - start < _LONGEST_PHRASE:
        word = words[stop]
        ends_here = bool(re.search(r"[,.;:!?]$", words[stop - 1]))
        is_capital = word[:1].isupper()
        if (
            ends_here
            or _plain(word) in _NO_NOUN | _DETERMINERS
            or not (is_capital or (has_determiner and stop == start + 1))
        ):
            break
        stop += 1
    return start if has_determiner and stop == start + 1 else stop


def _trimmed(phrase: str) -> str:
    return re.sub(r"('s)?[\s,.;:!?]*$", "", phrase)


def _plain(text: str) -> str:
    return re.sub(r"[^\w\s]", "", text).strip().lower()


def _pronoun_place(words: list[str], index: int, pronoun: str) -> int:
    """Return where the pronoun's first word is: at the index, or right beside it."""
    first = _plain(pronoun.split()[0])
    for place in (index, index - 1, index + 1):
        if 0 <= place < len(words) and _plain(words[place]) == first:
            return place
    raise ValueError(f"the pronoun {pronoun!r} is not at word {index} of the text")


def _get(record: Mapping[str, Any], name: str) -> Any:
    if not isinstance(record, Mapping):
        raise ValueError(f"there is no field {name!r}: {record!r:.60} has no fields")
    if name not in record:
        raise ValueError(no_field(record, name))
    return record[name]


def _text(record: Mapping[str, Any], name: str) -> str:
    text = _of_kind(record, name, str, "a text")
    if not text.strip():
        raise ValueError(f"field {name!r} must be a text, got {text!r}")
    return text


def _list(record: Mapping[str, Any], name: str) -> list[Any]:
    return _of_kind(record, name, list, "a list")


def _whole(record: Mapping[str, Any], name: str) -> int:
    value = _get(record, name)
    if not str(value).isdecimal():
        raise ValueError(f"field {name!r} must be a whole number, got {value!r}")
    return int(value)


def _of_kind(record: Mapping[str, Any], name: str, kind: type[_Kind], called: str) -> _Kind:
    value = _get(record, name)
    if not isinstance(value, kind):
        raise ValueError(f"field {name!r} must be {called}, got {value!r}")
    return value
