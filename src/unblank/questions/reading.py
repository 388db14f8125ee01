"""Questions about passages from files: SQuAD's JSON, or one question a record.

A record has `context`, `question` and `answers`, which are `{"text": [...], "answer_start": [...]}`
as in XQuAD and MLQA, or texts, or such pairs. SQuAD's JSON nests them in `data`, `paragraphs` and
`qas`. Every answer stands in its context: what is written freely is a pair of source and target.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unblank.data.fields import is_visible
from unblank.data.language_files import LANGUAGE_FIELD, LanguageFile, language_of_record
from unblank.data.records import read_records
from unblank.plurals import counted

__all__ = ["GoldAnswer", "Question", "read_questions"]

_IDS = ("uid", "id")
"""Fields that name a question, the first that is there; in TyDiQA `id` is not unique."""

_LISTS = ("data", "paragraphs", "qas")
"""Fields of SQuAD's files that hold articles, their paragraphs and the questions about these."""


@dataclass(frozen=True, slots=True)
class GoldAnswer:
    """A right answer.

    Attributes:
        text: as it stands in the context.
        start: its first character there.
    """

    text: str
    start: int

    @property
    def end(self) -> int:
        """The character after its last."""
        return self.start + len(self.text)


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a passage.

    Attributes:
        place: file and line.
        name: tells it apart in its file.
        language: code; empty if neither field nor file tells.
        context: the passage.
        text: the question.
        answers: the right answers, at least one.
    """

    place: str
    name: str
    language: str
    context: str
    text: str
    answers: tuple[GoldAnswer, ...]


def read_questions(file: LanguageFile) -> list[Question]:
    """Return the questions of a file, in order.

    Args:
        file: of any format of `unblank.data.records`, perhaps with its language.

    Raises:
        FileNotFoundError: if it is not there.
        ValueError: a broken record, a question without a right answer, an answer that is not in its
            context, or a question twice; the message names file and line.
    """
    questions: list[Question] = []
    seen: dict[str, str] = {}
    unanswered: list[str] = []
    for place, record in _flat(file):
        question = _question(place, record, file.language)
        if question.name in seen:
            raise ValueError(
                f"{place}: the question {question.name!r} was already in {seen[question.name]}: "
                f"give each a name of its own, in the field {_IDS[0]!r} or {_IDS[1]!r}"
            )
        seen[question.name] = place
        if not question.answers:
            unanswered.append(place)
        questions.append(question)
    if not questions:
        raise ValueError(f"{file.path} has no question")
    if unanswered:
        raise ValueError(
            f"{unanswered[0]}: the question has no right answer ({len(unanswered)} of "
            f"{counted(len(questions), 'question')} have none): training and scoring need them"
        )
    return questions


def _flat(file: LanguageFile) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield place and fields of each question, with the fields of what holds it.

    A record may be a whole file of SQuAD, so its questions are counted through all of it.
    """
    for place, record in read_records(file.path):
        is_nested = any(name in record for name in _LISTS)
        for number, fields in enumerate(_questions_of(place, record), start=1):
            yield (f"{place} (question {number})" if is_nested else place), fields


def _questions_of(place: str, record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    articles, paragraphs, questions = _LISTS
    for article in _parts(place, record, articles):
        for paragraph in _parts(place, article, paragraphs):
            yield from _parts(place, paragraph, questions)


def _parts(place: str, record: Mapping[str, Any], name: str) -> Iterator[dict[str, Any]]:
    """Yield what a field lists, with the other fields of the record; the record if it lacks it."""
    if name not in record:
        yield dict(record)
        return
    outer = {key: value for key, value in record.items() if key != name}
    parts = record[name]
    if not isinstance(parts, list) or not all(isinstance(part, Mapping) for part in parts):
        raise ValueError(f"{place}: field {name!r} must be a list of objects, as in SQuAD's JSON")
    for part in parts:
        yield {**outer, **part}


def _question(place: str, record: Mapping[str, Any], of_file: str) -> Question:
    try:
        context, text = (_text(record, name) for name in ("context", "question"))
        found = [record[name] for name in _IDS if record.get(name) not in (None, "")]
        return Question(
            place=place,
            name=str(found[0]) if found else place,
            language=language_of_record(record.get(LANGUAGE_FIELD), of_file),
            context=context,
            text=text.strip(),
            answers=tuple(_answers(record.get("answers"), context)),
        )
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str) or not is_visible(value):
        present = ", ".join(map(repr, record))
        raise ValueError(f"field {name!r} must be a text, got {value!r} (fields: {present})")
    return value


def _answers(value: Any, context: str) -> Iterator[GoldAnswer]:
    for text, start in _texts_and_starts(value):
        if not isinstance(text, str):
            raise ValueError(f"an answer must be a text, got {text!r}")
        if not is_visible(text):
            continue
        at = context.find(text) if start is None else start
        if not isinstance(at, int) or at < 0 or context[at : at + len(text)] != text:
            where = "" if start is None else f" from character {start!r} on"
            raise ValueError(
                f"the answer {text!r} is not in its context{where}: correct answer_start, or train "
                "on free answers with --task seq2seq"
            )
        yield GoldAnswer(text, at)


def _texts_and_starts(value: Any) -> Sequence[tuple[Any, Any]]:
    """Return the answers of any layout as pairs; None where the start is not given."""
    if value is None or value == "":
        return []
    if isinstance(value, str):
        return [(value, None)]
    if isinstance(value, Mapping):
        texts, starts = value.get("text"), value.get("answer_start")
        texts = texts if isinstance(texts, list) else [texts]
        starts = starts if isinstance(starts, list) else [starts] * len(texts)
        if len(starts) != len(texts):
            raise ValueError(
                f"answers have {counted(len(texts), 'text')} and {counted(len(starts), 'start')}"
            )
        return list(zip(texts, starts, strict=True))
    if isinstance(value, list):
        return [pair for item in value for pair in _texts_and_starts(item)]
    raise ValueError(f"answers must be texts, or text and answer_start, got {value!r}")
