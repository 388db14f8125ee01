"""`ShowTaskSettings`: the options of `unblank show --task`, with the standard library alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from unblank.showing.text_settings import ShowTextSettings

__all__ = ["ShowTaskSettings", "parse_show"]

_DESCRIPTION = """Print what the model really sees of a text: both parts, positions, what is
predicted. Of a task it shows an example instead (`unblank show --task rte --help`):

unblank show --task rte [--data FILE --example 3 --pattern 0] [--model FOLDER]"""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowTaskSettings:
    """Print an example of a task: the filled patterns, the candidates, and the model's layout."""

    task: str
    """Name of a task, or your own YAML file."""
    data: Path | None = None
    """File of examples; not given is the task's own data in $UNBLANK_DATA if an example is asked
    for by its number, else the example in the task's file."""
    example: int | None = None
    """Which example of the data, counted from 0."""
    pattern: int | None = None
    """Which pattern is shown token by token; not given is the task's own choice."""
    model: Path | None = None
    """Folder of a model; its candidates are scored, too."""
    tokenizer: Path | None = None
    """Folder of a tokenizer, instead of a model; without either only texts are shown."""
    max_length: int | None = None
    """Positions of an example; not given is the model's, or 512."""
    layout: Literal["blank", "sentinel", "masked"] = "blank"
    """How the model answers: in a blank, in one marked by a sentinel (for models pretrained with
    objective.sentinels), or one [MASK] a token (for those with objective.masked)."""

    def __post_init__(self) -> None:
        if self.tokenizer is not None and self.model is not None:
            raise ValueError("give a tokenizer or a model, not both: a model has its tokenizer")
        if self.example is not None and self.example < 0:
            raise ValueError(f"example counts from 0, got {self.example}")


def parse_show(arguments: Sequence[str]) -> ShowTextSettings | ShowTaskSettings:
    """Return what the words after `unblank show` ask for: a text, or an example of a task.

    Raises:
        SystemExit: after `--help` (code 0), and on a flag that does not parse.
        ValueError: if a flag holds a value that is not allowed.
    """
    import tyro

    is_task = any(word.partition("=")[0] == "--task" for word in arguments)
    kind: type[ShowTextSettings | ShowTaskSettings] = (
        ShowTaskSettings if is_task else ShowTextSettings
    )
    config: ShowTextSettings | ShowTaskSettings = tyro.cli(
        kind,
        prog="unblank show",
        description=ShowTaskSettings.__doc__ if is_task else _DESCRIPTION,
        args=arguments,
        config=() if is_task else (tyro.conf.PositionalRequiredArgs,),
    )
    return config
