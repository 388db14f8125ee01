"""The blanks of every text of a file, filled: `unblank fill --input --output`."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from unblank.answering.given import read_given
from unblank.answering.own_rules import rules_of_record
from unblank.answering.run import RecordAnswering, answer_to_file, content_hash, model_facts
from unblank.api import Unblank
from unblank.data.fields import field_text
from unblank.data.sources import TextUnit
from unblank.data.written_records import require_writable
from unblank.generation.options import DecodingOptions, FillingOrder
from unblank.generation.passages import require_one_blank, require_plain_search
from unblank.generation.results import BlankFill, FillResult
from unblank.models.half_weights import weights_dtype
from unblank.retrieval.retriever import Retriever
from unblank.rules.rule import Rule

__all__ = ["fill_records"]


@dataclass(frozen=True, slots=True)
class _BlankedRecord:
    text: str
    rules: tuple[Rule, ...]
    num_tokens: int


def fill_records(
    unblank: Unblank,
    folder: Path,
    input_path: Path,
    output: Path,
    options: DecodingOptions,
    *,
    text_field: str,
    text_unit: TextUnit,
    order: FillingOrder | None,
    rules: Sequence[Rule],
    rules_field: str | None,
    batch_size: int,
    with_tokens: bool,
    overwrite: bool,
    retriever: Retriever | None,
) -> Iterator[dict[str, Any]]:
    """Return an iterator over the answers to all records of a file, in order, as they are filled.

    The output is there once all of them were taken. Processes that torchrun started share out the
    records; all but the main one give none.

    Args:
        unblank: the model.
        folder: of the model; a run goes on only with the same weights.
        input_path: file of texts.
        output: file for the answers: .jsonl, .csv, .tsv or .parquet.
        options: decoding options.
        text_field: field of the text, or a text with fields in braces.
        text_unit: what a text of a .txt file is.
        order: blanks, counted from 0, in the order of filling; "confidence" for the surest first;
            None for left to right.
        rules: on the answers in all texts.
        rules_field: field with further rules of each text; None for none.
        batch_size: texts decoded together.
        with_tokens: add the tokens of every fill, and the likely ones in their place.
        overwrite: replace the output if it is there.
        retriever: of this model, gives each text passages; a text has one blank then.

    Raises:
        FileNotFoundError: no such input.
        FileExistsError: the output is there already.
        ValueError: a broken input, no text in it, an ending that cannot be written, or a model
            that fills no blanks.
    """
    require_writable(output)
    given = read_given(input_path, text_field, text_unit=text_unit)
    given.require_texts(text_field)
    filler = unblank.filler(options)
    if retriever is not None:
        require_plain_search(options)
    marks = filler.abstain_below is not None

    def read(place: str, record: dict[str, Any]) -> _BlankedRecord:
        text = field_text(place, record, text_field)
        own = (*rules, *rules_of_record(place, record, rules_field))
        prompt = filler.check(text, order=order, rules=own).prompt
        _check_passages(retriever, text, own)
        return _BlankedRecord(text, own, len(prompt.token_ids))

    def answer(
        records: Sequence[_BlankedRecord], on_batch: Callable[[int], None]
    ) -> list[dict[str, Any]]:
        texts = [one.text for one in records]
        if retriever is not None:
            own = asdict(options) | {"batch_size": batch_size}
            return list(_filled_with_passages(retriever, texts, own, with_tokens, on_batch))
        found = filler.fill(
            texts,
            order=order,
            rules=[one.rules for one in records],
            batch_size=batch_size,
            on_batch=on_batch,
        )
        return [_fill_record(one, with_tokens=with_tokens, with_marks=marks) for one in found]

    found = answer_to_file(
        given,
        RecordAnswering(read, lambda one: one.num_tokens, answer),
        output,
        task={
            "command": "fill",
            "model": model_facts(folder),
            "input": [given.content_hash, text_field],
            "options": asdict(options) | {"order": order, "tokens": with_tokens},
            "rules": [*map(repr, rules), rules_field],  # whole: as a text, a rule is cut
            "calibration": unblank.calibration and content_hash(unblank.calibration.to_dict()),
            "dtype": str(weights_dtype(unblank.model)),
            **({} if retriever is None else {"retrieve": retriever.identity}),
        },
        batch_size=batch_size,
        doing="fill",
        overwrite=overwrite,
    )
    return (one.answer for one in found)


def _filled_with_passages(
    retriever: Retriever,
    texts: Sequence[str],
    options: Mapping[str, Any],
    with_tokens: bool,
    on_batch: Callable[[int], None],
) -> Iterator[dict[str, Any]]:
    """Yield the record of each text, filled with its passages."""
    for text in texts:
        result, passages = retriever.fill(text, **options)
        # A threshold that was learned in calibrating counts only where there were no passages.
        is_marked = options["abstain_below"] is not None or any(
            blank.abstained for blank in result.blanks
        )
        record = _fill_record(result, with_tokens=with_tokens, with_marks=is_marked)
        on_batch(1)
        yield record | {"passages": passages}


def _check_passages(retriever: Retriever | None, text: str, rules: Sequence[Rule]) -> None:
    """Raise ValueError for a text that passages, if there are some, cannot help to fill."""
    if retriever is None:
        return
    require_one_blank(text)
    if rules:
        raise ValueError("rules and passages cannot be combined: leave one of them out")


def _fill_record(result: FillResult, *, with_tokens: bool, with_marks: bool) -> dict[str, Any]:
    """Return a filled text as plain values."""
    of_blanks = [dict(choices) for choices in result.choices]
    found: list[dict[str, Any]] = [
        {
            "filled": one.text,
            "probability": math.exp(one.log_probability),
            "share": share,
            "blanks": [
                _blank(blank, shares[blank.text], with_tokens)
                for blank, shares in zip(one.blanks, of_blanks, strict=True)
            ],
        }
        for one, share in zip((result, *result.alternatives), result.shares, strict=True)
    ]
    first, *others = found
    if with_marks:
        for values, blank in zip(first["blanks"], result.blanks, strict=True):
            values["abstained"] = blank.abstained
    return first | ({"alternatives": others} if others else {})


def _blank(blank: BlankFill, share: float, with_tokens: bool) -> dict[str, Any]:
    """Return one blank; its probability is that of its text and its end, after those before it."""
    values: dict[str, Any] = {
        "text": blank.text,
        "probability": math.exp(blank.log_probability),
        "share": share,
        "finished": blank.finished,
    }
    if blank.confidence is not None:
        values["confidence"] = blank.confidence
    if with_tokens:
        values["tokens"] = [
            {
                "token": token,
                "probability": math.exp(log_p),
                "likely": [{"token": other, "probability": p} for other, p in likely],
            }
            for token, log_p, likely in zip(
                blank.tokens, blank.log_probabilities, blank.alternatives, strict=True
            )
        ]
    return values
