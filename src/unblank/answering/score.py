"""Candidates scored in every text of a file: `unblank score --input --output`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from unblank.answering.given import listed_texts, read_given
from unblank.answering.run import (
    RecordAnswering,
    answer_in_batches,
    answer_to_file,
    content_hash,
    model_facts,
)
from unblank.api import Unblank
from unblank.data.fields import field_text, field_value
from unblank.data.sources import TextUnit
from unblank.data.written_records import require_writable
from unblank.generation.candidates import CandidateScorer, ScoringOptions
from unblank.generation.results import Scores
from unblank.models.half_weights import weights_dtype
from unblank.retrieval.retriever import Retriever

__all__ = ["score_records"]


_Question = tuple[str, list[str]]
"""A text and its candidates."""


def score_records(
    unblank: Unblank,
    folder: Path,
    input_path: Path,
    output: Path,
    options: ScoringOptions,
    *,
    candidates: Sequence[str],
    candidates_field: str | None,
    text_field: str,
    text_unit: TextUnit,
    batch_size: int,
    overwrite: bool,
    retriever: Retriever | None,
) -> Iterator[dict[str, Any]]:
    """Return an iterator over the scores for all records of a file, in order, as they are made.

    The output is there once all of them were taken. Processes that torchrun started share out the
    records; all but the main one give none.

    The other arguments and errors are those of `fill_records`; the candidates of every text are
    given, or the field that lists those of each, in a table as JSON.

    Raises:
        FileNotFoundError: no such input.
        FileExistsError: the output is there already.
        ValueError: a broken input, no text or no candidates in it, or an ending that cannot be
            written.
    """
    require_writable(output)
    more = () if candidates_field is None else (candidates_field,)
    given = read_given(input_path, text_field, more=more, text_unit=text_unit)
    scorer = unblank.scorer(options)

    def read(place: str, record: dict[str, Any]) -> _Question:
        text = field_text(place, record, text_field)
        if candidates_field is None:
            return text, list(candidates)
        value = field_value(place, record, candidates_field)
        return text, listed_texts(place, candidates_field, value)

    def answer(
        questions: Sequence[_Question], on_batch: Callable[[int], None]
    ) -> list[dict[str, Any]]:
        def answer_batch(batch: Sequence[_Question]) -> Iterator[dict[str, Any]]:
            if retriever is None:
                return _scored(scorer, batch)
            return _scored_with_passages(retriever, batch, options)

        return answer_in_batches(questions, _length, answer_batch, batch_size, on_batch)

    given.require_some(read)
    scored = answer_to_file(
        given,
        RecordAnswering(read, _length, answer),
        output,
        task={
            "command": "score",
            "model": model_facts(folder),
            "input": [given.content_hash, text_field, candidates_field, *candidates],
            "options": asdict(options),
            "calibration": unblank.calibration and content_hash(unblank.calibration.to_dict()),
            "dtype": str(weights_dtype(unblank.model)),
            **({} if retriever is None else {"retrieve": retriever.identity}),
        },
        batch_size=batch_size,
        doing="score",
        overwrite=overwrite,
    )
    return (one.answer for one in scored)


def _length(question: _Question) -> int:
    return len(question[0])


def _score_record(scores: Scores) -> dict[str, Any]:
    """Return the best candidate, and all in the order given, as plain values."""
    return {
        "best": scores.best.text,
        "share": scores.best.share,
        "candidates": [
            {"text": one.text, "score": one.score, "share": one.share} for one in scores.candidates
        ],
    }


def _scored_with_passages(
    retriever: Retriever, questions: Sequence[_Question], options: ScoringOptions
) -> Iterator[dict[str, Any]]:
    for text, candidates in questions:
        try:
            scores, passages = retriever.score(text, candidates, **asdict(options))
        except ValueError as error:
            yield {"error": str(error)}
        else:
            yield _score_record(scores) | {"passages": passages}


def _scored(scorer: CandidateScorer, questions: Sequence[_Question]) -> Iterator[dict[str, Any]]:
    """Yield the answers to a batch; if one of it is refused, each is scored alone."""
    try:
        texts, candidates = [text for text, _ in questions], [listed for _, listed in questions]
        yield from map(_score_record, scorer.score(texts, candidates))
        return
    except ValueError as error:
        if len(questions) == 1:
            yield {"error": str(error)}
            return
    for question in questions:
        yield from _scored(scorer, [question])
