"""Facts from files: who (subject) stands in which relation to what (object), as sentences."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unblank.data.fields import field_value, require_text
from unblank.data.language_files import LanguageFile
from unblank.data.records import Record, read_records
from unblank.evaluation.fact_templates import OBJECT, SUBJECT, plain_template
from unblank.evaluation.suites import FactSet
from unblank.tokenization.special import MASK_TOKEN

__all__ = ["Fact", "read_facts", "read_relations"]

_SENTENCE, _SENTENCES = "template", "templates"


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation, and how it is said.

    Attributes:
        title: its code and its name.
        template: a sentence with `[X]` for the subject and `[Y]` for the object; empty if there is
            none that can be used.
        problem: why not.
    """

    title: str
    template: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """A question whose answer is the object of a fact.

    Attributes:
        place: file and line.
        relation: its code and its name.
        key: relation and subject, the same in all languages.
        text: a sentence with `[MASK]` for the object.
        answer: the object.
        aliases: other names of the object.
        candidates: the objects of all facts of the relation, but for others of this subject and
            for other names of the answer; the most frequent one comes first.
        ids: of each candidate, the same in all languages.
    """

    place: str
    relation: str
    key: tuple[str, str]
    text: str
    answer: str
    aliases: tuple[str, ...]
    candidates: tuple[str, ...]
    ids: tuple[str, ...]

    @property
    def statement(self) -> str:
        """The sentence with its object."""
        return self.text.replace(MASK_TOKEN, self.answer)


@dataclass(frozen=True, slots=True)
class _Found:
    """What a record says: names, and ids where they have some (else the names)."""

    place: str
    subject: str
    subject_id: str
    answer: str
    answer_id: str
    aliases: tuple[str, ...]


def read_relations(paths: Sequence[Path], language: str) -> dict[str, Relation]:
    """Return code -> relation.

    Args:
        paths: files with the fields `relation`, `label` and `template`; or `templates`, which has a
            sentence a language and may have marks (`fact_templates`).
        language: code as `templates` has it.

    Raises:
        ValueError: a missing field, or a `template` without one of its slots; one of many
            languages is noted in the relation.
    """
    relations = {}
    for place, record in (one for path in paths for one in read_records(path)):
        code, label = (_text((place, record), name) for name in ("relation", "label"))
        title = f"{code} {label}"
        of_languages = record.get(_SENTENCES)
        if not isinstance(of_languages, Mapping):
            try:
                template = plain_template(_text((place, record), _SENTENCE))
            except ValueError as error:
                raise ValueError(_placed(place, error)) from error
            relations[code] = Relation(title, template)
            continue
        try:
            if language not in of_languages:
                raise ValueError(f"there is no template for {language or 'files of no language'}")
            relations[code] = Relation(title, plain_template(str(of_languages[language])))
        except ValueError as error:
            relations[code] = Relation(title, "", _placed(place, error))
    return relations


def read_facts(
    part: FactSet, file: LanguageFile, relations: Mapping[str, Relation], limit: int | None
) -> tuple[list[Fact], list[str]]:
    """Return the facts of a file, relation by relation, and what is left out of it.

    Args:
        part: names the fields.
        file: of the facts.
        relations: code -> relation.
        limit: most facts of a relation, the first ones, so that languages share them; None for all.
            All facts give candidates.

    Raises:
        ValueError: a missing field, a relation that is not among them, or no fact; the message
            names file and line.
    """
    found: dict[str, list[_Found]] = defaultdict(list)
    for code, one in _read(part, file.path):
        if code not in relations:
            raise ValueError(
                f"{one.place}: the relation {code!r} has no sentence: add its template"
            )
        found[code].append(one)
    left_out = [
        f"{relations[code].title}, {len(facts)} facts: {relations[code].problem}"
        for code, facts in found.items()
        if not relations[code].template
    ]
    facts = [
        fact
        for code in found
        if relations[code].template
        for fact in _of_relation(code, relations[code], found[code])[:limit]
    ]
    if not facts:
        raise ValueError(f"there is no fact in {file.path}" + "".join(f"\n{x}" for x in left_out))
    return facts, left_out


def _read(part: FactSet, path: Path) -> Iterator[tuple[str, _Found]]:
    for place, record in read_records(path):
        relation, subject, answer = (
            _text((place, record), name) for name in (part.relation, part.subject, part.object)
        )
        aliases = record.get(part.aliases) or []
        if not isinstance(aliases, list) or not all(isinstance(one, str) for one in aliases):
            raise ValueError(f"{place}: field {part.aliases!r} must be a list of names")
        subject_id, answer_id = (
            str(record.get(name) or value)
            for name, value in ((part.subject_id, subject), (part.object_id, answer))
        )
        yield relation, _Found(place, subject, subject_id, answer, answer_id, tuple(aliases))


def _of_relation(code: str, relation: Relation, facts: Sequence[_Found]) -> list[Fact]:
    objects = [answer for answer, _ in Counter(one.answer for one in facts).most_common()]
    # Of several things of the same name the first.
    ids = {one.answer: one.answer_id for one in reversed(facts)}
    of_subject: dict[str, set[str]] = defaultdict(set)
    for one in facts:
        of_subject[one.subject_id].add(one.answer)
    asked = []
    for one in facts:
        others = (of_subject[one.subject_id] | set(one.aliases)) - {one.answer}
        candidates = tuple(name for name in objects if name not in others)
        fact = Fact(
            place=one.place,
            relation=relation.title,
            key=(code, one.subject_id),
            text=relation.template.replace(OBJECT, MASK_TOKEN).replace(SUBJECT, one.subject),
            answer=one.answer,
            aliases=one.aliases,
            candidates=candidates,
            ids=tuple(ids[name] for name in candidates),
        )
        asked.append(fact)
    return asked


def _placed(place: str, error: ValueError) -> str:
    return str(error) if str(error).startswith(place) else f"{place}: {error}"


def _text(found: Record, name: str) -> str:
    place, record = found
    value: Any = field_value(place, record, name)
    text = value if isinstance(value, str) else " ".join(value)
    require_text(text, f"{place}: the field {name!r}")
    return text.strip()
