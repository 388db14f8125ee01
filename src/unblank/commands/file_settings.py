"""The settings of commands that answer every record of a file: where it is, where answers go."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from unblank.settings.marks import DataPath, Excludes, Needs

__all__ = ["FileSettings"]


@dataclass(frozen=True, kw_only=True)  # slots of two classes cannot be joined
class FileSettings:
    """A file of texts, and a file for the answers."""

    input: Annotated[DataPath | None, Excludes("text")] = None
    """File of texts, of any format (docs/data.md); of any other ending: lines of text."""
    text_field: Annotated[str, Needs("input")] = "text"
    """Field of --input that is the text, or a text with fields in braces, such as
    "{title}: [MASK]. {body}"."""
    text_unit: Annotated[Literal["line", "paragraph"], Needs("input")] = "line"
    """What a text of a .txt file is: a line, or a block between blank lines."""
    output: Annotated[Path | None, Needs("input"), Excludes("json")] = None
    """File for the answers: .jsonl, .csv, .tsv or .parquet, a record for every record of --input,
    with its other fields. The same command again goes on where an interrupted one stopped. Default:
    standard output."""
    overwrite: Annotated[bool, Needs("output")] = False
    """Replace --output if it exists, and what another command left of it."""
