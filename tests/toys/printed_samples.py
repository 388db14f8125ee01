"""What `unblank show` prints of a text or a pair, and the cells of a line of it."""

import io

from rich.console import Console

from unblank.showing.options import ShowPairOptions, ShowTextOptions
from unblank.showing.text import show_pair, show_text


def shown(width: int = 100, *, is_pair: bool = False, **options) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    if is_pair:
        show_pair(ShowPairOptions(**options), console)
    else:
        show_text(ShowTextOptions(**options), console)
    return console.file.getvalue()


def cells(output: str, name: str) -> list[str]:
    lines = [line for line in output.splitlines() if line.startswith(name + " ")]
    return [cell for line in lines for cell in line.removeprefix(name).split()]
