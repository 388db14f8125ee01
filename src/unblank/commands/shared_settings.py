"""Settings that several commands share: files, passages of an index, rules on answers.

Their dataclasses have no slots, as slots of two bases cannot be joined.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from unblank.rules.rule import Rule, read_rules
from unblank.settings.marks import DataPath, Excludes, Needs, PathText
from unblank.settings.ranges import Positive, check_values

if TYPE_CHECKING:
    from unblank.api import Unblank
    from unblank.retrieval.retriever import Retriever

__all__ = ["FileSettings", "RetrievalSettings", "RuleSettings"]


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, kw_only=True)
class RetrievalSettings:
    """An index of passages, and how many of them a text gets."""

    retrieve: PathText | None = None
    """Folder of an index (unblank index): put the passages that fit a text best before it, each in
    turn, and average what they lead to. The text has one blank."""
    top: Annotated[Positive[int], Needs("retrieve")] = 5
    """Most passages of a text."""

    def __post_init__(self) -> None:
        check_values(self)

    def retriever(self, unblank: "Unblank") -> "Retriever | None":
        """Return what finds passages for a model, if an index is given; errors as `Retriever`."""
        if self.retrieve is None:
            return None
        from unblank.retrieval.retriever import Retriever

        return Retriever(unblank, Path(self.retrieve), self.top)


@dataclass(frozen=True, kw_only=True)
class RuleSettings:
    """What the answers must be like."""

    rules: tuple[str, ...] = ()
    """Rules that hold together, each [BLANK:] NAME=VALUE, with blanks counted from 0: 'words=2..3',
    '1: regex=\\d{4}', 'choices=yes|no'. Names: regex, choices, contains, excludes, tokens, words,
    characters (3, 2..5, 2.. or ..5), case (lower, upper, title), script (digits, letters,
    Latin, ...)."""
    rules_file: Path | None = None
    """JSON file of further rules: a list of such texts, or of objects such as {"blank": 1, "regex":
    "\\\\d{4}"}."""
    rules_field: Annotated[str | None, Needs("output")] = None
    """Field of --input with further rules of each text: one such text, or a list as in
    --rules-file; in a table as JSON."""

    def given_rules(self) -> tuple[Rule, ...]:
        """Return the rules on all texts.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: a rule that cannot be read; or it is no JSON.
        """
        from unblank.untrusted.json_text import read_json

        given = read_rules(self.rules)
        if self.rules_file is None:
            return given
        content = read_json(self.rules_file)
        try:
            return given + read_rules(content)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{self.rules_file}: {error}") from error
