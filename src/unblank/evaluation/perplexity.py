"""Perplexity of held-out text, by overlapping windows in which every token is scored once.

A token's loss depends on the tokenizer, so the same total is also given for each word (as white
space cuts the text) and each byte of the text: these can be compared between models.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from unblank.evaluation.language_means import language_means
from unblank.evaluation.left_to_right import continuation_layout, window_bounds
from unblank.evaluation.options import LeftContext, PerplexityOptions
from unblank.evaluation.results import Score, SuiteResult
from unblank.evaluation.session import NamedTexts, Session
from unblank.evaluation.suites import TextSet
from unblank.evaluation.token_scores import score_labels
from unblank.evaluation.wikitext import detokenize
from unblank.examples import Example
from unblank.metrics.likelihood import bits_a_byte, mean_loss, perplexity
from unblank.metrics.spread import bootstrap_error
from unblank.plurals import counted
from unblank.progress_bars import counting_bar
from unblank.tokenization.special import BLANK_TOKENS, GMASK_TOKEN

__all__ = ["choose_window", "run_perplexity"]

_DEFAULT_WINDOW = 512


@dataclass(frozen=True, slots=True)
class _Document:
    """A text: its tokens, and how much of it is scored (all but its first token and word)."""

    token_ids: list[int]
    num_words: int
    num_bytes: int


def run_perplexity(
    session: Session[PerplexityOptions], sets: Mapping[str, TextSet]
) -> Iterator[SuiteResult]:
    """Yield the perplexities of each set, for each way to see what comes before a window.

    Texts of several languages have a row for each, and their means with equal weight.

    WikiText is put together again before a model sees it; words and bytes are counted as in the
    file.
    """
    by_language: dict[str, dict[str, list[Score]]] = {}
    for part in session.texts(sets, text_unit="file"):
        documents = [_read(session, text, part.is_wikitext) for text in part.texts]
        kept = [document for document in documents if len(document.token_ids) > 1]
        if len(kept) < len(documents):
            session.say(
                f"{part.name}: left out {counted(len(documents) - len(kept), 'text')} of one token"
            )
        if not kept:
            raise ValueError(f"{part.name}: no text has two tokens")
        for context in session.options.context:
            result = _measure(session, part, kept, context)
            if part.language:
                rows = by_language.setdefault(f"{part.set_name} ({context})", {})
                rows[part.language] = result.scores
            yield result
    for name, rows in by_language.items():
        if len(rows) > 1:
            yield SuiteResult(language_means(name, rows), [])


def choose_window(window: int | None, stride: int | None, max_positions: int) -> tuple[int, int]:
    """Return the window and the stride that are used, in tokens.

    Args:
        window: the given setting; None for 512, or all positions of a smaller model.
        stride: the given setting; None for half the window.
        max_positions: of the model, without those of a trained prompt.

    Raises:
        ValueError: if the model has too few positions.
    """
    if window is None:
        window = min(_DEFAULT_WINDOW, max_positions)
    if window > max_positions:
        raise ValueError(
            f"window is {window}, but the model has only {max_positions} positions for text: give "
            "that or less"
        )
    return window, stride or window // 2


def _read(session: Session[PerplexityOptions], text: str, is_wikitext: bool) -> _Document:
    shown = detokenize(text) if is_wikitext else text
    encoded = session.tokenizer(
        shown,
        add_special_tokens=False,
        split_special_tokens=True,
        return_offsets_mapping=True,
        verbose=False,
    )
    offsets = encoded["offset_mapping"]
    first_token = shown[: offsets[0][1]] if offsets else ""
    return _Document(
        encoded["input_ids"],
        num_words=len(text.split()) - 1,
        num_bytes=len(text.encode()) - len(first_token.encode()),
    )


def _measure(
    session: Session[PerplexityOptions],
    part: NamedTexts,
    documents: Sequence[_Document],
    context: LeftContext,
) -> SuiteResult:
    started = time.perf_counter()
    options = session.options
    window, stride = choose_window(options.window, options.stride, session.num_positions)
    owners, examples = _windows(session, documents, context, window, stride)
    name = f"{part.set_name} ({context})"
    with counting_bar(f"{part.name} ({context})", len(examples)) as advance:
        found = score_labels(session.model, examples, advance=advance)
    windows = [(-score.total, len(score.log_probabilities)) for score in found]
    rows = [
        Score(
            task=name,
            language=part.language,
            metric=metric,
            value=value,
            count=count,
            standard_error=error,
            seconds=time.perf_counter() - started,
            details={"window": window, "stride": stride, "documents": len(documents)},
        )
        for metric, value, error, count in _scores(windows, documents, options.seed)
    ]
    predictions = [
        {
            "task": name,
            **({"lang": part.language} if part.language else {}),
            "document": owner,
            "loss": loss,
            "tokens": tokens,
        }
        for owner, (loss, tokens) in zip(owners, windows, strict=True)
    ]
    return SuiteResult(rows, predictions)


def _windows(
    session: Session[PerplexityOptions],
    documents: Sequence[_Document],
    context: LeftContext,
    window: int,
    stride: int,
) -> tuple[list[int], list[Example]]:
    """Return the layouts of all windows, and which document each belongs to."""
    special = session.special
    blank = special.blanks[BLANK_TOKENS.index(session.options.blank or GMASK_TOKEN)]
    owners, examples = [], []
    for number, document in enumerate(documents):
        ids = document.token_ids
        for first, scored, end in window_bounds(len(ids), window, stride):
            owners.append(number)
            examples.append(
                continuation_layout(
                    ids[first:scored], ids[scored:end], special, context=context, blank=blank
                )
            )
    return owners, examples


def _scores(
    windows: list[tuple[float, int]], documents: Sequence[_Document], seed: int
) -> list[tuple[str, float, float | None, int]]:
    """Return (metric, value, standard error, units) for tokens, words and bytes."""
    loss = math.fsum(total for total, _ in windows)
    num_tokens = sum(count for _, count in windows)
    a_token = bootstrap_error(mean_loss, windows, seed)
    error = None if a_token is None else a_token * num_tokens  # of the loss of the whole text
    num_words = sum(document.num_words for document in documents)
    num_bytes = sum(document.num_bytes for document in documents)
    scores: list[tuple[str, float, float | None, int]] = []
    for metric, count in (("perplexity a token", num_tokens), ("perplexity a word", num_words)):
        if count:
            value = perplexity(loss, count)
            scores.append((metric, value, error and value * error / count, count))
    if num_bytes:
        bits = bits_a_byte(loss, num_bytes)
        scores.append(("bits a byte", bits, error and bits_a_byte(error, num_bytes), num_bytes))
    return scores
