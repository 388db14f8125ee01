"""`unblank info`: what a folder holds, where it comes from and what can be done with it."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from unblank.commands.parsing import parse_settings
from unblank.settings.marks import Positional

__all__ = ["InfoSettings", "parse", "run"]


@dataclass(frozen=True, kw_only=True, slots=True)
class InfoSettings:
    """Say what a folder holds: a model, adapter, prompt, tokenizer, checkpoint, corpus or run.

    unblank info runs/mine

    Weights are read with `--verify` alone. Of a run that is still going: step, loss, time left, and
    where the last checkpoint is.
    """

    path: Positional[Path]
    """The folder."""
    verify: bool = False
    """Compare every file with the size and hash that were recorded when it was written, and look
    for NaN and infinite values in the weights."""
    json: bool = False
    """Print one JSON object."""


parse = partial(parse_settings, "info", InfoSettings)


def run(settings: InfoSettings) -> None:
    """Print what the folder is.

    Raises:
        FileNotFoundError: there is nothing.
        ValueError: it is none of these, a file is damaged, or one has changed (`--verify`).
    """
    from rich.text import Text

    from unblank.commands.texts import print_json
    from unblank.consoles import TextConsole
    from unblank.describing.folder import describe_folder
    from unblank.terminal_text import printable_line

    found = describe_folder(settings.path, verify=settings.verify)
    if settings.json:
        print_json(found.to_dict())
    else:
        console = TextConsole(highlight=False, soft_wrap=True)
        console.print(Text(f"{settings.path}: {found.kind}", style="bold"))
        for heading, facts in found.facts.items():
            console.print(Text(heading, style="bold"))
            width = max(map(len, facts), default=0)
            for name, fact in facts.items():
                console.print(Text(printable_line(f"  {name:<{width}}  {fact}")))
        if settings.verify and not found.damage:
            said = (
                "every file is as it was written"
                if found.is_verified
                else "there is no record of sizes and hashes to compare with"
            )
            console.print(Text(f"verified: {said}"))
        if found.next_commands:
            console.print(Text("next", style="bold"))
            for command in found.next_commands:
                console.print(Text(printable_line(f"  {command}")))
    if found.damage:
        raise ValueError(f"{settings.path} is damaged: {found.damage}")
