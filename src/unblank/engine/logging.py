"""What a person sees and what stays: header, progress bar, and files of one JSON object a line.

A terminal gets a live bar; anything else gets one plain line each time metrics are written.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.panel import Panel
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from unblank.consoles import TextConsole
from unblank.disk_errors import writes_to
from unblank.integrity import write_atomically

__all__ = [
    "FILLS_NAME",
    "METRICS_NAME",
    "SKIPPED_NAME",
    "VALIDATION_NAME",
    "Display",
    "append_line",
    "drop_lines_after",
    "read_json_lines",
    "write_lines",
]

METRICS_NAME = "metrics.jsonl"
VALIDATION_NAME = "validation.jsonl"
FILLS_NAME = "fills.jsonl"
SKIPPED_NAME = "skipped.jsonl"


def append_line(path: Path, values: Mapping[str, Any]) -> None:
    """Append one JSON object as a line; the operating system has it when this returns."""
    with writes_to(path), path.open("a", encoding="utf-8") as file:
        file.write(_as_line(values))


def _as_line(values: Mapping[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False) + "\n"


def write_lines(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Write a file of JSON lines, replacing an old one at once."""
    write_atomically(path, "".join(map(_as_line, lines)))


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a file of JSON lines; none if there is no file.

    A last line that a kill cut short is left out.

    Raises:
        ValueError: a line is damaged; the message names it.
    """
    if not path.is_file():
        return []
    *lines, _ = path.read_bytes().split(b"\n")
    return [_read_line(line, f"{path}, line {number}") for number, line in enumerate(lines, 1)]


def drop_lines_after(path: Path, step: int) -> None:
    """Keep only the lines whose `step` is at most `step`, replacing the file at once."""
    if not path.is_file():
        return
    write_lines(path, [line for line in read_json_lines(path) if line["step"] <= step])


def _read_line(line: bytes, place: str) -> dict[str, Any]:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:  # RecursionError: nested too deeply
        raise ValueError(f"{place} is damaged: restore the file from a copy ({error})") from error
    if not isinstance(values, dict):
        raise ValueError(f"{place} is damaged: restore the file from a copy (no JSON object)")
    return values


class Display:
    """The console of the main process; silent in the others.

    Args:
        total_steps: steps of the whole run.
        is_main: whether this process talks.
        is_terminal: whether to draw a live bar; by default, whether stdout is a terminal.
    """

    def __init__(
        self, *, total_steps: int, is_main: bool = True, is_terminal: bool | None = None
    ) -> None:
        self._console = TextConsole(quiet=not is_main, highlight=False, soft_wrap=True)
        self._total_steps = total_steps
        self._is_main = is_main
        live = sys.stdout.isatty() if is_terminal is None else is_terminal
        self._bar = self._make_bar() if live and is_main else None
        self._task = self._bar.add_task("", total=total_steps, facts="") if self._bar else None

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()

    def header(self, title: str, facts: Mapping[str, str]) -> None:
        """Print the facts of the run in a box, before the first step."""
        table = Table.grid(padding=(0, 2))
        for name, fact in facts.items():
            table.add_row(name, fact)
        self._console.print(Panel(table, title=title, title_align="left", expand=False))

    def show(self, table: Table) -> None:
        """Print a table."""
        self._console.print(table)

    def say(self, text: str) -> None:
        """Print a line, above the bar if there is one."""
        self._console.print(text, markup=False)

    def advance(self, step: int) -> None:
        """Move the bar to `step`."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=step)

    def show_metrics(self, metrics: Mapping[str, Any], seconds_left: float) -> None:
        """Show a line of metrics: on the bar, or as plain text."""
        loss = "-" if metrics["loss"] is None else f"{metrics['loss']:.4f}"
        facts = f"loss {loss}  {metrics['tokens_per_second']:,.0f} tokens/s"
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, facts=facts)
            return
        rate = f"learning rate {metrics['learning_rate']:.2e}"
        self.say(
            f"step {metrics['step']}/{self._total_steps}  {facts}  {rate}  "
            f"{_duration(seconds_left)} left"
        )

    def _make_bar(self) -> Progress:
        return Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("{task.fields[facts]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
        )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
