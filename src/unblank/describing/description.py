"""What a folder is, as values: facts for people, and what can be done with it."""

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Description", "Facts"]

Facts = dict[str, str]
"""Name -> fact, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a folder is.

    Attributes:
        kind: such as "model", "adapter", "run", "tokenizer".
        facts: heading -> name -> fact, for people.
        next_commands: what can be done with it.
        damage: what is wrong with its files, if they were verified; empty if nothing is.
        is_verified: whether its files were compared with its record.
    """

    kind: str
    facts: dict[str, Facts]
    next_commands: list[str] = field(default_factory=list)
    damage: str = ""
    is_verified: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {
            "kind": self.kind,
            "facts": self.facts,
            "next": self.next_commands,
            "verified": self.is_verified,
            "damage": self.damage,
        }
