"""`unblank show`: prints what a model really sees of a text, or of a task's example."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from unblank.showing.options import ShowPairOptions, ShowTaskOptions, ShowTextOptions

__all__ = ["ShowPairSettings", "parse", "run"]

_DESCRIPTION = """Print what the model really sees of a text: both parts, positions, what is
predicted. Of a task it shows an example instead (`unblank show --task rte --help`):

unblank show --task rte [--data FILE --example 3 --pattern 0] [--model FOLDER]"""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowPairSettings(ShowPairOptions):
    """Print source and target of a text as an encoder-decoder (DeltaLM, GanLM) sees them.

    A model of these families, a translation and any setting of `seq2seq` say so, too. A text with
    [MASK] in it is shown as it is filled.
    """

    encoder_decoder: bool = True
    """Show a text as an encoder-decoder sees it."""


def parse(arguments: Sequence[str]) -> ShowTextOptions | ShowPairSettings | ShowTaskOptions:
    """Return what the words after `unblank show` ask for: a text, or an example of a task.

    Raises:
        SystemExit: after `--help` (code 0), and on a flag that does not parse.
        ValueError: if a flag holds a value that is not allowed.
    """
    import tyro

    kind = _kind(arguments)
    is_task = kind is ShowTaskOptions
    config: ShowTextOptions | ShowPairSettings | ShowTaskOptions = tyro.cli(
        kind,
        prog="unblank show",
        description=_DESCRIPTION if kind is ShowTextOptions else kind.__doc__,
        args=arguments,
        config=() if is_task else (tyro.conf.PositionalRequiredArgs,),
    )
    return config


def run(settings: ShowTextOptions | ShowPairSettings | ShowTaskOptions) -> None:
    """Print a sample of a text, or an example of a task; errors as for either."""
    from rich.console import Console

    if isinstance(settings, ShowTaskOptions):
        from unblank.showing.task import show_task

        show_task(settings, Console(highlight=False, soft_wrap=True))
        return
    from unblank.showing.text import show_pair, show_text

    console = Console(highlight=False)
    if isinstance(settings, ShowPairSettings):
        show_pair(settings, console)
    else:
        show_text(settings, console)


def _kind(
    arguments: Sequence[str],
) -> type[ShowTextOptions] | type[ShowPairSettings] | type[ShowTaskOptions]:
    """Return the settings that the words ask for, by their names and the model's family."""
    names = [word.partition("=")[0].replace("_", "-") for word in arguments]
    if "--task" in names:
        return ShowTaskOptions
    is_pair = any(
        name in ("--encoder-decoder", "--translation") or name.startswith("--seq2seq.")
        for name in names
    )
    folders = _values(arguments, ("--model", "--tokenizer"))
    return ShowPairSettings if is_pair or any(map(_is_pair, folders)) else ShowTextOptions


def _values(arguments: Sequence[str], names: Sequence[str]) -> Iterator[Path]:
    for word, following in zip(arguments, [*arguments[1:], ""], strict=True):
        name, _, value = word.partition("=")
        if name in names:
            yield Path(value or following)


def _is_pair(folder: Path) -> bool:
    path = folder / "config.json"
    return path.is_file() and bool(
        json.loads(path.read_text(encoding="utf-8")).get("is_encoder_decoder")
    )
