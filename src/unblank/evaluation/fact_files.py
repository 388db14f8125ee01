"""Facts from files: who (subject) stands in which relation to what (object), as sentences."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unblank.data.fields import field_value, require_text
from unblank.data.records import Record, read_records
from unblank.evaluation.suites import FactSet
from unblank.tokenization.special import MASK_TOKEN

__all__ = ["Fact", "read_facts"]

_SUBJECT, _OBJECT = "[X]", "[Y]"


@dataclass(frozen=True, slots=True)
class Fact:
    """A question whose answer is the object of a fact.

    Attributes:
        place: file and line.
        relation: its code and its name.
        text: a sentence with `[MASK]` for the object.
        answer: the object.
        candidates: the objects of all facts of the relation, but for others of this subject; the
            most frequent one comes first.
    """

    place: str
    relation: str
    text: str
    answer: str
    candidates: tuple[str, ...]


def read_facts(
    part: FactSet, files: Sequence[Path], relation_files: Sequence[Path], limit: int | None
) -> list[Fact]:
    """Return the facts of some files, relation by relation.

    Args:
        part: names the fields.
        files: of the facts.
        relation_files: of the relations, with the fields `relation`, `label` and `template`, a
            sentence with `[X]` for the subject and `[Y]` for the object.
        limit: most facts of a relation; None for all. All facts give candidates.

    Raises:
        ValueError: a missing field or sentence, or no fact; the message names file and line.
    """
    relations = _read_relations(relation_files)
    found: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for place, record in (one for path in files for one in read_records(path)):
        names = (part.relation, part.subject, part.object)
        relation, subject, answer = (_text((place, record), name) for name in names)
        if relation not in relations:
            raise ValueError(
                f"{place}: the relation {relation!r} has no sentence: add its template"
            )
        found[relation].append((place, subject, answer))
    if not found:
        raise ValueError(f"there is no fact in {', '.join(map(str, files))}")
    return [fact for name in found for fact in _of_relation(*relations[name], found[name])[:limit]]


def _read_relations(paths: Sequence[Path]) -> Mapping[str, tuple[str, str]]:
    """Return the title and the template of each relation."""
    relations = {}
    for place, record in (one for path in paths for one in read_records(path)):
        code, label, template = (
            _text((place, record), name) for name in ("relation", "label", "template")
        )
        for slot in (_SUBJECT, _OBJECT):
            if template.count(slot) != 1:
                raise ValueError(f"{place}: the template {template!r} needs {slot} once")
        if template.endswith(" ."):
            template = f"{template[:-2]}."
        relations[code] = f"{code} {label}", template
    return relations


def _of_relation(title: str, template: str, facts: Sequence[tuple[str, str, str]]) -> list[Fact]:
    objects = [answer for answer, _ in Counter(answer for *_, answer in facts).most_common()]
    of_subject: dict[str, set[str]] = defaultdict(set)
    for _, subject, answer in facts:
        of_subject[subject].add(answer)
    return [
        Fact(
            place,
            title,
            template.replace(_OBJECT, MASK_TOKEN).replace(_SUBJECT, subject),
            answer,
            tuple(one for one in objects if one == answer or one not in of_subject[subject]),
        )
        for place, subject, answer in facts
    ]


def _text(found: Record, name: str) -> str:
    place, record = found
    value = field_value(place, record, name)
    text = value if isinstance(value, str) else " ".join(value)
    require_text(text, f"{place}: the field {name!r}")
    return text.strip()
