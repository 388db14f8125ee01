"""The settings of commands that give a model the passages of an index."""

from dataclasses import dataclass
from typing import Annotated

from unblank.settings.marks import Needs, PathText
from unblank.settings.ranges import Positive, check_values

__all__ = ["RetrievalSettings"]


@dataclass(frozen=True, kw_only=True)  # slots of two classes cannot be joined
class RetrievalSettings:
    """An index of passages, and how many of them a text gets."""

    retrieve: PathText | None = None
    """Folder of an index (unblank index): put the passages that fit a text best before it, each in
    turn, and average what they lead to. The text has one blank."""
    top: Annotated[Positive[int], Needs("retrieve")] = 5
    """Most passages of a text."""

    def __post_init__(self) -> None:
        check_values(self)
