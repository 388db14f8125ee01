"""The table of what became of a run's documents: kept, cut, skipped, and why."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from unblank.data.shards import PreparedCorpus

__all__ = ["documents_table"]


def documents_table(corpora: Sequence[tuple[str, PreparedCorpus]], *, max_length: int) -> Table:
    """Return a table with a row for each corpus, to be printed by a rich console.

    Args:
        corpora: what to call each corpus, and the corpus; at least one.
        max_length: positions of a sample in tokens; a document is cut into segments if it does not
            fit beside `[CLS]` and the end token.
    """
    longest = max_length - 2
    shortest = max(corpus.report.min_tokens for _, corpus in corpora)
    table = Table(
        title="documents",
        caption="skipped: empty = nothing but white space, "
        f"short = under {shortest} tokens; cut = over {longest:,} tokens, into segments",
        box=SIMPLE_HEAD,
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("source", overflow="fold")
    for heading in ("read", "empty", "short", "kept", "of these cut", "tokens"):
        table.add_column(heading, justify="right")
    for name, corpus in corpora:
        report = corpus.report
        num_cut = int((corpus.lengths > longest).sum())
        counts = (report.num_read, report.num_empty, report.num_short, report.num_kept, num_cut)
        table.add_row(name, *(f"{count:,}" for count in (*counts, report.num_tokens)))
    return table
