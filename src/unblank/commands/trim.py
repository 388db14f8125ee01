"""`unblank trim`: drops the tokens from a model that a text does not need; prints what changed."""

import json
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from unblank.commands.parsing import parse_settings
from unblank.settings.marks import PathText, Positional
from unblank.settings.ranges import Positive, PositiveShare, check_values
from unblank.terminal_text import print_message

if TYPE_CHECKING:
    from rich.table import Table

    from unblank.trimming.trim import TrimReport

__all__ = ["TrimSettings", "parse", "run"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrimSettings:
    """Drop the tokens that your text does not need, and their rows of the embedding table.

    The table is most of a small multilingual model. Texts whose tokens are all kept are cut into
    tokens as before and get the same logits, which is checked before anything is written; other
    texts are spelt with more and smaller tokens.

    unblank trim multiglm small --corpus news/*.txt --coverage 0.9999
    """

    model: Positional[Path]
    """Model folder with its tokenizer (glm, electra, deltalm or ganlm)."""

    output: Positional[Path]
    """New folder for the smaller model."""

    corpus: tuple[PathText, ...]
    """Files, folders or globs of your text, of any format (docs/data.md). Give what the model will
    read: all its languages, and the texts of your tasks."""

    keep: Positive[int | None] = None
    """Number of tokens to keep, special tokens and single characters included."""

    coverage: PositiveShare[float | None] = None
    """Instead of --keep: keep the most frequent tokens that make up this share of the corpus, e.g.
    0.9999."""

    text_field: str = "text"
    """Field that holds the text, in files with fields."""

    text_unit: Literal["file", "paragraph", "line"] = "file"
    """What a document of a .txt file is: the file, a block between blank lines, or a line."""

    json: bool = False
    """Print the numbers as JSON instead of a table."""

    def __post_init__(self) -> None:
        check_values(self)
        if (self.keep is None) == (self.coverage is None):
            raise ValueError(
                "give either --keep N (number of tokens) or --coverage SHARE (for example 0.9999)"
            )


parse = partial(parse_settings, "trim", TrimSettings)


def run(settings: TrimSettings) -> None:
    """Trim a model and print what changed.

    Raises:
        FileNotFoundError: a path matches no file, or there is no model.
        FileExistsError: the output folder exists.
        ValueError: as `trim_model`.
    """
    from unblank.calibration.record import calibration_left
    from unblank.consoles import TextConsole
    from unblank.data.files import find_files
    from unblank.data.sources import TextFiles
    from unblank.trimming.trim import trim_model

    texts = TextFiles(
        paths=find_files(settings.corpus),
        text_field=settings.text_field,
        text_unit=settings.text_unit,
    )
    report = trim_model(
        settings.model,
        settings.output,
        texts,
        keep=settings.keep,
        coverage=settings.coverage,
        show_progress=True,
    )
    if note := calibration_left(settings.model, settings.output):
        print_message(note)
    if settings.json:
        print(json.dumps(asdict(report), indent=1))
        return
    console = TextConsole()
    console.print(_table(report))
    console.print(_findings(report), highlight=False, soft_wrap=True)
    if settings.keep is not None and report.tokens[1] < settings.keep:
        console.print(
            f"{report.tokens[1]:,} tokens are kept instead of {settings.keep:,}: no others occur "
            "in the text, or the tokens that they are merged from do not fit"
        )
    console.print(f"saved in {settings.output}", soft_wrap=True)


def _table(report: "TrimReport") -> "Table":
    from rich.table import Table

    table = Table("", "before", "after", "", title="Trimmed")
    for name in ("tokens", "rows", "parameters"):
        before, after = getattr(report, name)
        table.add_row(name, f"{before:,}", f"{after:,}", f"{after / before:.1%}")
    before, after = report.bytes
    table.add_row("weights", _size(before), _size(after), f"{after / before:.1%}")
    before, after = report.passage_tokens
    table.add_row("tokens of the passages", f"{before:,}", f"{after:,}", f"{after / before:.1%}")
    before, after = report.passage_unknown
    table.add_row("unknown among them", f"{before:,}", f"{after:,}", "")
    return table


def _findings(report: "TrimReport") -> str:
    changed = report.passages_changed / report.passages
    return (
        f"corpus: kept tokens are {report.coverage:.4%} of {report.corpus_tokens:,} in "
        f"{report.documents:,} documents\n"
        f"passages: {report.passages_changed:,} of {report.passages:,} drawn from it "
        f"({changed:.1%}) are now split into other tokens\n"
        f"check: {report.numbers_compared:,} outputs over kept tokens, {report.texts_compared} "
        f"passages, differ by at most {report.largest_difference:.1g}"
    )


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 2**20:,.1f} MiB"
