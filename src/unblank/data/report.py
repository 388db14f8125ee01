"""The table of what became of a run's documents: kept, cut, skipped, and why."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from unblank.data.pairs import PairCorpus
from unblank.data.prepared import PreparedCorpus

__all__ = ["documents_table"]


def documents_table(
    corpora: Sequence[tuple[str, Sequence[PreparedCorpus | PairCorpus]]], *, max_length: int
) -> Table:
    """Return a table with a row for each corpus, to be printed by a rich console.

    Args:
        corpora: what to call each row, and the corpora that it sums up; at least one. A pair counts
            as one.
        max_length: positions of a sample in tokens; a document is cut into segments if it does not
            fit beside `[CLS]` and the end token.
    """
    table = Table(
        title="documents",
        caption=_caption([corpus for _, some in corpora for corpus in some], max_length),
        box=SIMPLE_HEAD,
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("source", overflow="fold")
    for heading in ("read", "empty", "short", "kept", "of these cut", "tokens"):
        table.add_column(heading, justify="right")
    for name, some in corpora:
        # As `Text`: markup would swallow `[0-9]` of a glob and turn `:a:` of a pair into an emoji.
        counts = zip(*(_counts(corpus, max_length) for corpus in some), strict=True)
        table.add_row(Text(name), *(f"{sum(column):,}" for column in counts))
    return table


def _counts(corpus: PreparedCorpus | PairCorpus, max_length: int) -> tuple[int, ...]:
    if isinstance(corpus, PairCorpus):  # one that lacks a side was refused, not skipped
        return len(corpus), 0, 0, len(corpus), corpus.num_cut, corpus.num_tokens
    report = corpus.report
    most = _longest(max_length)
    num_cut = sum(int((lengths > most).sum()) for lengths in corpus.lengths_in_pieces())
    counts = (report.num_read, report.num_empty, report.num_short, report.num_kept)
    return *counts, num_cut, report.num_tokens


def _caption(corpora: Sequence[PreparedCorpus | PairCorpus], max_length: int) -> str:
    texts = [corpus for corpus in corpora if isinstance(corpus, PreparedCorpus)]
    parts = []
    if texts:
        shortest = max(corpus.report.min_tokens for corpus in texts)
        parts.append(
            "skipped: empty = nothing but white space, "
            f"short = under {shortest} tokens; "
            f"cut = over {_longest(max_length):,} tokens, cut into segments"
        )
    counts = [count for corpus in corpora for count in _num_unknown(corpus)]
    if num_unknown := sum(count for count in counts if count is not None):
        stands = "token stands" if num_unknown == 1 else "tokens stand"
        parts.append(
            f"{num_unknown:,} {stands} for text that is unknown to the tokenizer, and lost"
        )
    if None in counts:
        parts.append(
            "what is unknown to the tokenizer was not counted where an earlier version prepared "
            "the text"
        )
    if len(texts) < len(corpora):
        parts.append(f"the sides of a pair are cut to fit into {max_length:,} positions together")
    return "; ".join(parts)


def _num_unknown(corpus: PreparedCorpus | PairCorpus) -> list[int | None]:
    """Return the count of each side; None where there is none."""
    sides = [corpus.source, corpus.target] if isinstance(corpus, PairCorpus) else [corpus]
    return [side.report.num_unknown for side in sides]


def _longest(max_length: int) -> int:
    """Return the tokens of a document that fit beside `[CLS]` and the end token."""
    return max_length - 2
