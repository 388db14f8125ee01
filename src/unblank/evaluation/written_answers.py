"""Answers to sources: written by the model, scored against references, and checked for language.

Writing is `unblank.generation.seq2seq`, scoring is `unblank.metrics.text`. Works for
encoder-decoders and for GLM.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from unblank.evaluation.results import Score, SuiteResult, text_row
from unblank.evaluation.session import Session
from unblank.evaluation.writing_options import WritingOptions
from unblank.generation.options import GenerationOptions
from unblank.generation.seq2seq import generate_texts
from unblank.metrics.language_identity import LanguageIdentifier
from unblank.metrics.spread import mean_error
from unblank.metrics.text import TextMetric, score_texts
from unblank.plurals import counted
from unblank.prompting.writing_hints import with_hints

__all__ = ["OFF_TARGET", "AskedText", "AskedTexts", "write_and_score"]

OFF_TARGET = "off target"
"""Metric: percentage of answers in another language than was asked for, empty ones included."""


@dataclass(frozen=True, slots=True)
class AskedText:
    """A source and its references, at least one."""

    source: str
    references: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedTexts:
    """Sources that are answered and scored together.

    Attributes:
        name: of the task, for the table.
        texts: at least one.
        metrics: the scores, the first chooses between length penalties.
        source_language: code; empty if it is not known.
        target_language: code of the language to write in; likewise.
        row: language or direction in the table.
    """

    name: str
    texts: Sequence[AskedText]
    metrics: tuple[TextMetric, ...]
    source_language: str = ""
    target_language: str = ""
    row: str = ""

    @property
    def title(self) -> str:
        """Name for messages."""
        return f"{self.name} {self.row}".strip()

    @property
    def details(self) -> dict[str, str]:
        """What of it belongs to a number: the languages of a translation."""
        if not self.source_language:
            return {}
        return {"source": self.source_language, "target": self.target_language}


def write_and_score(
    session: Session[WritingOptions], asked: AskedTexts, identifier: LanguageIdentifier | None
) -> Iterator[SuiteResult]:
    """Yield the scores with each length penalty, and say which is the best of several.

    Args:
        session: the model and the settings.
        asked: what is to be written.
        identifier: tells the language of an answer; None if that is not measured.
    """
    penalties = session.options.length_penalty
    if len(penalties) == 1:
        yield _measure(session, asked.name, asked, identifier, penalties[0])
        return
    values = {}
    for penalty in penalties:
        name = f"{asked.name}, penalty {penalty:g}"
        result = _measure(session, name, asked, identifier, penalty)
        values[penalty] = result.scores[0].value
        yield result
    best = max(values, key=values.__getitem__)
    metric = result.scores[0].metric
    session.say(f"{asked.title}: length penalty {best:g} has the best {metric}, {values[best]:.2f}")


def _measure(
    session: Session[WritingOptions],
    name: str,
    asked: AskedTexts,
    identifier: LanguageIdentifier | None,
    length_penalty: float,
) -> SuiteResult:
    started = time.perf_counter()
    options, texts = session.options, asked.texts
    title = f"{name} {asked.row}".strip()
    session.say(f"{title}: {counted(len(texts), 'source')}")
    template = with_hints(options.source_template or "{text}", asked.target_language)
    answers = generate_texts(
        session.model,
        session.tokenizer,
        [template.replace("{text}", text.source) for text in texts],
        _options(session, asked, length_penalty),
        batch_size=options.batch_size,
        show_progress=True,
    )
    written = [answer.text for answer in answers]
    found = score_texts(
        written,
        [list(text.references) for text in texts],
        asked.metrics,
        tokenize=options.bleu_tokenizer,
        with_margin=True,
    )
    if "bleu" in found.scores:
        session.say(f"{title}: bleu {found.scores['bleu'].signature}")
    for metric, reason in found.missing.items():
        session.say(f"{title}: no {metric}: {reason}")
    seconds = time.perf_counter() - started
    num_cut = sum(answer.is_source_cut for answer in answers)
    scores = [
        text_row(
            name,
            metric,
            score,
            len(texts),
            seconds,
            asked.row,
            cut_sources=num_cut,
            **asked.details,
        )
        for metric, score in found.scores.items()
    ]
    languages = identifier.identify(written) if identifier else []
    if languages:
        scores.append(_off_target(name, asked, languages, seconds))
    predictions = [
        {
            "task": name,
            **({"lang": asked.row} if asked.row else {}),
            "source": text.source,
            "prediction": answer.text,
            "references": list(text.references),
            "finished": answer.finished,
            **({"prediction_language": languages[number]} if languages else {}),
        }
        for number, (text, answer) in enumerate(zip(texts, answers, strict=True))
    ]
    return SuiteResult(scores, predictions)


def _off_target(name: str, asked: AskedTexts, languages: Sequence[str], seconds: float) -> Score:
    """Return the row of how many answers are in another language than was asked for."""
    values = [100.0 * (one != asked.target_language) for one in languages]
    return Score(
        task=name,
        metric=OFF_TARGET,
        value=sum(values) / len(values),
        count=len(values),
        standard_error=mean_error(values),
        seconds=seconds,
        language=asked.row,
        details=asked.details,
    )


def _options(
    session: Session[WritingOptions], asked: AskedTexts, length_penalty: float
) -> GenerationOptions:
    options = session.options
    return GenerationOptions(
        num_beams=options.num_beams,
        no_repeat_ngram=options.no_repeat_ngram,
        length_penalty=length_penalty if options.num_beams > 1 else 1.0,
        max_tokens=options.max_tokens,
        source_tag=_tag(options.source_tag, asked),
        target_tag=_tag(options.target_tag, asked),
        blank=options.blank,
        too_long="cut",
    )


def _tag(given: str | None, asked: AskedTexts) -> str | None:
    """Return a tag with the codes of the languages in place of `{source}` and `{target}`."""
    if given is None:
        return None
    for name, code in (("source", asked.source_language), ("target", asked.target_language)):
        if f"{{{name}}}" in given and not code:
            raise ValueError(
                f"the tag {given!r} needs the {name} language, which {asked.name} does not tell: "
                "write the code itself"
            )
        given = given.replace(f"{{{name}}}", code)
    return given
