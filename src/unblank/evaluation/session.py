"""What every suite is given: the model, the settings, the data, and a place to say something."""

import os
import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import Any, Generic, TypeVar

from rich.console import Console

from unblank.api import Unblank
from unblank.data.drawing import draw_from_files
from unblank.data.fields import is_visible
from unblank.data.language_sources import open_language_sources
from unblank.data.sources import TextFiles, TextUnit
from unblank.data.splits import find_split
from unblank.evaluation.options import DataOptions, EvaluationOptions, TextOptions
from unblank.evaluation.suites import TextSet
from unblank.finetuning.labels.tuned_task import TunedTask
from unblank.tokenization.special import SpecialIds, special_ids

__all__ = ["NamedTexts", "Session"]

Options_co = TypeVar("Options_co", bound=EvaluationOptions, covariant=True)


@dataclass(frozen=True, slots=True)
class NamedTexts:
    """Texts of one part of a suite.

    Attributes:
        name: of the part, for the table.
        language: code of its language; empty if it is not known.
        set_name: of the texts of all languages; the name where there is one part.
        is_wikitext: they are tokenized as WikiText is.
        files: where the texts come from.
        texts: the texts, in order; of more than the limit a fixed random choice.
    """

    name: str
    files: tuple[Path, ...]
    texts: list[str]
    is_wikitext: bool = False
    language: str = ""
    set_name: str = ""


@dataclass(frozen=True, slots=True)
class Session(Generic[Options_co]):
    """One measurement: the model and the options of a suite."""

    unblank: Unblank
    options: Options_co
    console: Console
    """Console for progress and notes, on standard error."""
    tuned: TunedTask | None = None
    """The model with its task, where it is a classifier."""

    @property
    def model(self) -> Any:
        """The model."""
        return self.unblank.model

    @property
    def tokenizer(self) -> Any:
        """Its tokenizer."""
        return self.unblank.tokenizer

    @property
    def special(self) -> SpecialIds:
        """Ids of the special tokens."""
        return special_ids(self.tokenizer)

    @property
    def num_positions(self) -> int:
        """Positions for text: those of the model, but for a trained prompt's."""
        positions: int = self.model.config.max_position_embeddings
        return positions - len(self.special.prompt)

    def say(self, message: str) -> None:
        """Print a line that is not a result."""
        self.console.print(message, highlight=False, markup=False, soft_wrap=True)

    def texts(
        self: "Session[TextOptions]", parts: Mapping[str, TextSet], *, text_unit: TextUnit = "line"
    ) -> Iterator[NamedTexts]:
        """Yield the texts of each part that was asked for, or those of the user's own files.

        Own files of known languages (`unblank.data.language_sources`) are a part a language, each
        with as many texts as the limit says.

        Raises:
            ValueError: if a part does not exist, or there is nothing to measure.
            FileNotFoundError: if the data is not there.
        """
        options = self.options
        if options.file:
            yield from self._own_texts(text_unit)
            return
        for name, files in self.files({name: part.files for name, part in parts.items()}):
            source = TextFiles(paths=files, text_field=parts[name].field, text_unit=text_unit)
            yield self._read(name, source, parts[name].is_wikitext)

    def _own_texts(self: "Session[TextOptions]", text_unit: TextUnit) -> Iterator[NamedTexts]:
        field, own = self.options.text_field, "own files"
        with tempfile.TemporaryDirectory(prefix="unblank-") as folder:
            sources = open_language_sources(
                self.options.file, text_field=field, cache_dir=Path(folder)
            )
            unknown = [one for one in sources if not one.language]
            if unknown:
                paths = tuple(path for one in unknown for path in one.paths)
                fields = tuple(
                    name for one in unknown for name in one.fields or [field] * len(one.paths)
                )
                texts = TextFiles(paths=paths, text_field=field, text_unit=text_unit, fields=fields)
                yield self._read(own, texts)
            for one in sources:
                if one.language:
                    texts = one.texts(text_field=field, text_unit=text_unit)
                    part = self._read(f"{own}, {one.language}", texts)
                    yield replace(part, language=one.language, set_name=own)

    def _read(
        self: "Session[TextOptions]", name: str, source: TextFiles, is_wikitext: bool = False
    ) -> NamedTexts:
        placed = [one for one in source.placed_texts() if is_visible(one[1])]
        texts = [text for _, text in draw_from_files(placed, self.options.limit, itemgetter(0))]
        if not texts:
            raise ValueError(f"there is no text in {source.shown_paths}")
        return NamedTexts(name, source.paths, texts, is_wikitext, set_name=name)

    def files(
        self: "Session[DataOptions]", parts: Mapping[str, str]
    ) -> Iterator[tuple[str, tuple[Path, ...]]]:
        """Yield the files of each part that was asked for, or of all that are there.

        A part of several files that may be the split is left out like one that is not there.

        Args:
            parts: name -> its files below the data folder without the ending; `{split}` stands
                for the split.

        Raises:
            ValueError: if a part that was asked for does not exist, or has several such files.
            FileNotFoundError: if the data of one is not there, or that of all.
        """
        root, asked = self.data_folder(), self.options.tasks
        self.require_tasks(parts)
        num_missing = 0
        for name in asked or parts:
            try:
                found = find_split(root, parts[name], self.options.split)
            except (FileNotFoundError, ValueError) as error:
                num_missing += 1
                how = "" if isinstance(error, OSError) else f": --tasks {name} --split NAME"
                if asked or num_missing == len(parts):
                    raise type(error)(f"{error}{how}") from error
                self.say(f"left out {name}: {error}{how}")
            else:
                yield name, found

    def require_tasks(self: "Session[DataOptions]", known: Collection[str]) -> None:
        """Raise ValueError if a task that was asked for is not one of the suite's."""
        for name in self.options.tasks:
            if name not in known:
                raise ValueError(
                    f"the suite {self.options.suite} has no task {name!r}: choose from "
                    f"{', '.join(known)}"
                )

    def data_folder(self: "Session[DataOptions]") -> Path:
        """Return the folder of the data sets.

        Raises:
            ValueError: if it is not named.
            FileNotFoundError: if it is not there.
        """
        named = self.options.data or os.environ.get("UNBLANK_DATA")
        if not named:
            raise ValueError(
                f"the suite {self.options.suite} needs data: give --data FOLDER or set "
                "UNBLANK_DATA (docs/evaluating.md shows the layout), or give your own texts with "
                "--file"
            )
        if not Path(named).is_dir():
            raise FileNotFoundError(f"there is no folder of data {named}")
        return Path(named)
