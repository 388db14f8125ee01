"""Tasks in which the model writes a text to a source: summaries, questions, headlines and more.

Which files, fields and scores is data (`suites`); writing is `unblank.generation.seq2seq`, scoring
is `unblank.metrics.text`. Works for encoder-decoders and for GLM.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path

from unblank.data.drawing import draw_from_files
from unblank.data.fields import (
    field_names,
    field_text,
    field_value,
    has_field,
    require_text,
)
from unblank.data.files import find_files
from unblank.data.records import read_records
from unblank.evaluation.options import WritingOptions
from unblank.evaluation.results import SuiteResult, text_row
from unblank.evaluation.session import Session
from unblank.evaluation.suites import WritingSet
from unblank.generation.options import GenerationOptions
from unblank.generation.seq2seq import generate_texts
from unblank.metrics.text import score_texts

__all__ = ["run_writing"]


def run_writing(
    session: Session[WritingOptions], sets: Mapping[str, WritingSet]
) -> Iterator[SuiteResult]:
    """Yield the scores of each set, or of the user's own files, judged like the first set."""
    config = session.config
    if config.file:
        part = next(iter(sets.values()))
        yield from _try_penalties(session, "own files", part, find_files(config.file))
        return
    for name, found in session.files({name: part.files for name, part in sets.items()}):
        yield from _try_penalties(session, name, sets[name], found)


def _try_penalties(
    session: Session[WritingOptions], name: str, part: WritingSet, files: Sequence[Path]
) -> Iterator[SuiteResult]:
    """Yield the scores with each length penalty, and say which is the best of several."""
    penalties = session.config.length_penalty
    if len(penalties) == 1:
        yield _measure(session, name, part, files, penalties[0])
        return
    values = {}
    for penalty in penalties:
        result = _measure(session, f"{name}, penalty {penalty:g}", part, files, penalty)
        values[penalty] = result.scores[0].value
        yield result
    best = max(values, key=values.__getitem__)
    metric = result.scores[0].metric
    session.say(f"{name}: length penalty {best:g} has the best {metric}, {values[best]:.2f}")


def _measure(
    session: Session[WritingOptions],
    name: str,
    part: WritingSet,
    files: Sequence[Path],
    length_penalty: float,
) -> SuiteResult:
    started = time.perf_counter()
    config = session.config
    placed = draw_from_files(list(_pairs(session, part, files)), config.limit, itemgetter(0))
    pairs = [(source, references) for _, source, references in placed]
    session.say(f"{name}: {len(pairs)} sources")
    answers = generate_texts(
        session.model,
        session.tokenizer,
        [source for source, _ in pairs],
        _options(session, length_penalty),
        batch_size=config.batch_size,
        show_progress=True,
    )
    found = score_texts(
        [answer.text for answer in answers],
        [references for _, references in pairs],
        part.metrics,
        tokenize=config.bleu_tokenizer,
        with_margin=True,
    )
    if "bleu" in found.scores:
        session.say(f"{name}: bleu {found.scores['bleu'].signature}")
    for metric, reason in found.missing.items():
        session.say(f"{name}: no {metric}: {reason}")
    seconds = time.perf_counter() - started
    num_cut = sum(answer.is_source_cut for answer in answers)
    scores = [
        text_row(name, metric, score, len(pairs), seconds, cut_sources=num_cut)
        for metric, score in found.scores.items()
    ]
    predictions = [
        {
            "task": name,
            "source": source,
            "prediction": answer.text,
            "references": references,
            "finished": answer.finished,
        }
        for (source, references), answer in zip(pairs, answers, strict=True)
    ]
    return SuiteResult(scores, predictions)


def _pairs(
    session: Session[WritingOptions], part: WritingSet, files: Sequence[Path]
) -> Iterator[tuple[str, str, list[str]]]:
    """Yield the place of each source, the source, and its references."""
    config = session.config
    source = config.source_field or part.source
    targets = (config.target_field,) if config.target_field else part.targets
    more_targets = () if config.target_field else part.more_targets
    for path in files:
        for place, record in read_records(path, _given_names(config)):
            text = field_text(place, record, source)
            require_text(text, f"{place}: the source ({source!r})")
            first = next((name for name in targets if has_field(record, name)), targets[0])
            references = []
            for target in (first, *(name for name in more_targets if has_field(record, name))):
                value = field_value(place, record, target)
                found = value if isinstance(value, list) else [value]
                require_text(" ".join(found), f"{place}: the target ({target!r})")
                references += [reference.strip() for reference in found]
            yield place, text.strip(), references


def _given_names(config: WritingOptions) -> list[str]:
    """Return the fields that are named: if all are numbers, tables have no header."""
    source = field_names(config.source_field) if config.source_field else []
    return [*source, config.target_field] if config.target_field else []


def _options(session: Session[WritingOptions], length_penalty: float) -> GenerationOptions:
    config = session.config
    return GenerationOptions(
        num_beams=config.num_beams,
        no_repeat_ngram=config.no_repeat_ngram,
        length_penalty=length_penalty if config.num_beams > 1 else 1.0,
        max_tokens=config.max_tokens,
        source_tag=config.source_tag,
        target_tag=config.target_tag,
        blank=config.blank,
        too_long="cut",
    )
