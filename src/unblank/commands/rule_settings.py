"""The settings of commands whose answers may be held to rules."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from unblank.rules.rule import Rule, read_rules
from unblank.settings.marks import Needs

__all__ = ["RuleSettings"]


@dataclass(frozen=True, kw_only=True)  # slots of two classes cannot be joined
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
