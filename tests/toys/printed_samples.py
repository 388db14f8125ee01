"""What `unblank show` prints of a text, and the cells of a line of it."""

import io

from rich.console import Console

from unblank.showing.text import run_show
from unblank.showing.text_settings import ShowTextSettings


def shown(width: int = 100, **options) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    run_show(ShowTextSettings(**options), console)
    return console.file.getvalue()


def cells(output: str, name: str) -> list[str]:
    lines = [line for line in output.splitlines() if line.startswith(name + " ")]
    return [cell for line in lines for cell in line.removeprefix(name).split()]
