"""`unblank tokenize --report`: how the new tokenizer treats each language, shown and written."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from unblank.data.drawn_texts import beginnings
from unblank.data.language_sources import parse_entry
from unblank.data.parallel import read_parallel
from unblank.data.sources import TextFiles
from unblank.describing.language_plot import draw_languages
from unblank.describing.languages import LanguageRow, describe_languages, group_means
from unblank.integrity import seal, write_atomically

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["report_languages", "rows_table"]

_REPORT_NAME = "languages.json"
_CHARACTERS = 200_000
"""Read of each language."""
_MANY = 25
"""Rows above which the table has one for each script."""


def report_languages(
    tokenizer: "PreTrainedTokenizerFast",
    texts: Mapping[str, TextFiles],
    *,
    parallel: str | None,
    output: Path,
    is_verbose: bool,
    console: Console,
) -> None:
    """Print the report and write it as `languages.json` and, with matplotlib, `languages.png`.

    Args:
        tokenizer: that is reported on.
        texts: code of each language, or an entry without one -> its text.
        parallel: entry with the same sentences in several languages, or None.
        output: folder.
        is_verbose: a row for every language, however many there are.
        console: to print on.

    Raises:
        ValueError: if the parallel sentences cannot be used.
        FileNotFoundError: if they are not there.
    """
    samples = {code: list(beginnings([source], _CHARACTERS)) for code, source in texts.items()}
    aligned = read_parallel(parse_entry(parallel)) if parallel else {}
    rows = describe_languages(tokenizer, samples, aligned)
    content = {"characters_read": _CHARACTERS, "languages": [row.as_json() for row in rows]}
    write_atomically(output / _REPORT_NAME, seal(content, readable=True))
    is_drawn = draw_languages(output.name, rows, output / "languages.png")
    console.print(rows_table(rows, is_verbose=is_verbose))
    picture = " and languages.png" if is_drawn else ""
    console.print(f"every language is in {output / _REPORT_NAME}{picture}", soft_wrap=True)


def rows_table(rows: Sequence[LanguageRow], *, is_verbose: bool) -> Table:
    """Return the report as a table, of many languages with a row for each script.

    Args:
        rows: of the report.
        is_verbose: a row for every language, however many there are.
    """
    is_grouped = len(rows) > _MANY and not is_verbose
    table = Table(
        title="by script (means over languages)" if is_grouped else "by language",
        caption="fallback = tokens that are only a part of a character, or unknown; changed = words"
        " that normalisation changes; tax = tokens of the same sentences compared with English"
        + ("; --verbose shows every language" if is_grouped else ""),
        box=SIMPLE_HEAD,
        title_justify="left",
        caption_justify="left",
    )
    names = list(dict.fromkeys(name for row in rows for name in row.ratios))
    is_named = is_grouped or any(row.name != row.language for row in rows)
    table.add_column("script" if is_grouped else "language", no_wrap=True, overflow="fold")
    if is_named:
        table.add_column("languages" if is_grouped else "name", overflow="fold")
    for name in names:
        table.add_column(name, justify="right")
    if is_grouped:
        for script, means in group_means(rows).items():
            codes = [row.language for row in rows if (row.script or "?") == script]
            shown = ", ".join(codes[:8]) + f", ... ({len(codes)})" * (len(codes) > 8)
            table.add_row(script, Text(shown), *_cells(means, names))
    else:
        for row in rows:
            who = [Text(row.language), Text(row.name)] if is_named else [Text(row.language)]
            table.add_row(*who, *_cells(row.ratios, names))
    return table


def _cells(values: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    return [f"{values[name]:.2f}" if name in values else "" for name in names]
