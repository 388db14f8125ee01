"""The settings of data that every run shares. Standard library only: `--help` reads it."""

from dataclasses import dataclass
from typing import Annotated, Literal

from unblank.plurals import counted
from unblank.settings.checks import require
from unblank.settings.identity import MayChange
from unblank.settings.marks import PathText
from unblank.settings.ranges import NumProcesses, Positive, Probability, check_values, minimum

__all__ = ["MIXTURE", "DataSettings"]

MIXTURE = "the mixture of data.alpha or data.temperature_*"
"""Name of `DataSettings.mixture` where two starts of a run are compared."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataSettings:
    """Where the data is, and how its entries are mixed."""

    train: MayChange[tuple[PathText, ...]] = ()
    """Files, folders or globs of training text."""
    validation: MayChange[tuple[PathText, ...]] = ()
    """The same for held-out text."""
    hold_out: Positive[float | None] = None
    """Share of `train` to hold out where there is no `validation`, chosen by a hash of its text, so
    the same in every run."""
    languages: tuple[str, ...] | None = None
    """Language of each entry of `train`."""
    validation_languages: MayChange[tuple[str, ...] | None] = None
    """The same for each entry of `validation`."""
    text_field: str = "text"
    """Field that holds the text, in files with fields."""
    text_unit: Literal["file", "paragraph", "line"] = "file"
    """What a document of a .txt file is: the file, a block between blank lines, or a line."""
    alpha: Probability[float | None] = None
    """Share of the tokens drawn from each entry: p ~ tokens**alpha instead of p ~ tokens."""
    temperature_start: Annotated[float | None, minimum(0.1)] = None
    """Sampling temperature (1/alpha) in the first epoch, to schedule it; usually 1."""
    temperature_end: Annotated[float | None, minimum(0.1)] = None
    """Sampling temperature at the end of the schedule; usually 5."""
    temperature_epochs: Positive[int | None] = None
    """Epochs over which the temperature moves from start to end; usually 5."""
    num_workers: MayChange[NumProcesses[int]] = 0
    """Number of processes that prepare batches ahead of the training step."""

    @property
    def mixture(self) -> str | None:
        """What shares other than by size go by, for comparing two starts of a run."""
        is_mixed = self.alpha is not None or self.temperature_start is not None
        return "by tokens" if is_mixed else None

    def __post_init__(self) -> None:
        check_values(self)
        for names, entries in (("languages", "train"), ("validation_languages", "validation")):
            given: tuple[str, ...] | None = getattr(self, names)
            count = len(getattr(self, entries))
            require(
                given is None or len(given) == count,
                f"data.{names} has {counted(len(given or ()), 'entry', 'entries')} and "
                f"data.{entries} has {count}: give one for each",
            )
        schedule = (self.temperature_start, self.temperature_end, self.temperature_epochs)
        is_given = [value is not None for value in schedule]
        require(
            all(is_given) or not any(is_given),
            "temperature_start, temperature_end and temperature_epochs go together: give all three",
        )
        require(
            self.alpha is None or not any(is_given),
            "alpha and temperature_* exclude each other: give one of them",
        )
