"""The console that all commands print on: what it shows is text, whoever wrote it.

Names of files, labels and tokens may be a stranger's, and a model may write anything: none of it
commands the terminal, and none of it is taken for rich's own markup.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from unblank.terminal_text import printable

__all__ = ["TextConsole", "marked_text"]


class TextConsole(Console):
    """A console for which brackets and `:names:` are plain, and control characters are shown.

    Args:
        settings: as for rich's own.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(markup=False, emoji=False, **settings)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield the pieces of what is printed, without control characters in their texts."""
        for piece in super().render(renderable, options):
            if piece.control:
                yield piece
            else:
                yield Segment(printable(piece.text), piece.style)


def marked_text(text: str, spans: Sequence[tuple[int, int]]) -> Text:
    """Return a text with some of its parts marked, safe on any console of rich.

    Args:
        text: of any origin.
        spans: first character of each part, and the one after its last.
    """
    marked = Text(printable(text))
    for start, end in spans:
        marked.stylize("bold green", start, end)
    return marked
