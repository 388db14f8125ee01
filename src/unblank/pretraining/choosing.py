"""Fills in what a run was not given, and shows each choice in a table.

`choices` says what; this file looks at the text and the machine. A run that is continued keeps what
its record says, as another machine would choose something else.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from unblank.data.formats import compression_of, format_of
from unblank.data.language_sources import find_entry_files
from unblank.data.lines import read_lines
from unblank.engine.resume import RUN_NAME
from unblank.pretraining.choices import Choice, Means, choose
from unblank.pretraining.settings import PretrainSettings
from unblank.process import process_count, thread_count
from unblank.settings.recipes import from_mapping, merged_sections, read_settings, to_mapping

__all__ = ["choose_settings", "is_open"]

_NOT_CHOSEN_FOR = (
    *("model.preset", "model.init_from", "model.init_from_encoder"),
    *("data.pairs", "seq2seq", "ganlm", "electra"),
)
"""With one of these nothing is chosen: the model is given, or no sizes were searched for it."""
_UNPACKED = 3
"""Bytes of text in a byte of a compressed file, roughly."""
_FEW_FILES = 50
_LINES_SEEN = 2000
_DRIVER = Path("/proc/driver/nvidia/version")
_CUDA_PART = Path("lib", "libtorch_cuda.so")
"""Of torch, where it is built for CUDA."""


def is_open(given: Collection[str]) -> bool:
    """Return whether a run without a recipe leaves its model to be chosen.

    Args:
        given: dotted names of the settings that were given.
    """
    return "data.train" in given and not _names(given, _NOT_CHOSEN_FOR)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The settings of a run with what was chosen.

    Attributes:
        settings: whole.
        means: what it was chosen for.
        choices: each setting that was, with its reason.
    """

    settings: PretrainSettings
    means: Means
    choices: Sequence[Choice]

    def table(self) -> Table:
        """Return the choices, to be printed."""
        table = Table(
            title=f"chosen for {self.means}; each is a setting, and what you give stays",
            title_justify="left",
            box=SIMPLE_HEAD,
        )
        table.add_column("why")
        table.add_column("settings", overflow="fold")
        by_reason: dict[str, list[str]] = {}
        for one in self.choices:
            flag = f"--{one.name.replace('_', '-')} {one.value}"
            by_reason.setdefault(one.why, []).append(flag)
        for why, flags in by_reason.items():
            table.add_row(why, "\n".join(flags))
        return table


def choose_settings(settings: PretrainSettings, given: Collection[str]) -> Chosen:
    """Return the settings with what is chosen for all that was not given.

    A run in the folder that is to be continued gives its own values.

    Args:
        settings: of the run.
        given: dotted names of the settings that were given, which stay.

    Raises:
        FileNotFoundError, ValueError: the text cannot be found or read.
    """
    means = _means(settings, given)
    choices = [
        one for one in choose(means) if one.name not in given and not _names(given, one.unless)
    ]
    record = settings.train.output_dir / RUN_NAME
    if settings.train.resume == "auto" and record.is_file():
        before = to_mapping(read_settings(PretrainSettings, record))
        why = f"as the run in {settings.train.output_dir} has it"
        choices = [Choice(one.name, _value(before, one.name), why) for one in choices]
    changes: dict[str, Any] = {}
    for one in choices:
        section, _, name = one.name.partition(".")
        changes.setdefault(section, {})[name] = one.value
    changed = from_mapping(PretrainSettings, merged_sections(to_mapping(settings), changes))
    return Chosen(changed, means, choices)


def _means(settings: PretrainSettings, given: Collection[str]) -> Means:
    paths = find_entry_files(settings.data.train)
    return Means(
        text_bytes=sum(map(_text_bytes, paths)),
        minutes=settings.train.minutes,
        threads=thread_count() * process_count(),
        has_gpu=_has_gpu(settings.train.device),
        text_unit="" if "data.text_unit" in given else _text_unit(paths),
    )


def _text_bytes(path: Path) -> int:
    is_packed = compression_of(path) or format_of(path) == "parquet"
    return path.stat().st_size * (_UNPACKED if is_packed else 1)


def _text_unit(paths: Sequence[Path]) -> str:
    """Return what a document of few text files must be, so that some can be held out."""
    texts = [path for path in paths if format_of(path) in ("text", None)]
    if not texts or len(paths) >= _FEW_FILES:
        return ""
    lines = islice(read_lines(texts[0]), _LINES_SEEN)
    return "paragraph" if any(not line.strip() for line in lines) else "line"


def _has_gpu(device: str) -> bool:
    """Return whether a GPU trains; torch, whose memory is still to be arranged, is not loaded."""
    if device != "auto":
        return device.startswith("cuda")
    torch = find_spec("torch")
    if torch is None or torch.origin is None or not _DRIVER.exists():
        return False
    is_hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return Path(torch.origin).parent.joinpath(_CUDA_PART).exists() and not is_hidden


def _names(given: Collection[str], names: Sequence[str]) -> set[str]:
    """Return which given settings are among some settings and sections."""
    return {one for one in given for name in names if one == name or one.startswith(f"{name}.")}


def _value(settings: Mapping[str, Any], name: str) -> Any:
    section, _, field = name.partition(".")
    return settings[section][field]
