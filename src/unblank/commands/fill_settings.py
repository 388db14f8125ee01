"""The settings of `unblank fill`."""

from dataclasses import dataclass, fields
from typing import Annotated

from unblank.commands.shared_settings import FileSettings, RetrievalSettings, RuleSettings
from unblank.generation.options import DecodingOptions, FillingOrder
from unblank.settings.choices import DType
from unblank.settings.marks import Excludes, PathText, Positional
from unblank.settings.ranges import Positive

__all__ = ["FillSettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FillSettings(FileSettings, RetrievalSettings, RuleSettings, DecodingOptions):
    r"""Fill the blanks ([MASK], [sMASK], [gMASK]) of texts.

    Of one text, under rules, of a file:

    unblank fill runs/mine "The cat [MASK] on the mat." --num-beams 5 --num-return 5
    unblank fill runs/mine "Born in [MASK], he [MASK]." --rules '0: regex=\d{4}' '1: words=2..4'
    unblank fill runs/mine --input damaged.csv --text-field line --output filled.csv
    """

    model: Positional[PathText]
    """Model folder."""
    text: Positional[tuple[str, ...]]
    """Texts with blanks. Without any, --input is read, or without that (or with a single -) one
    text per line of standard input."""
    order: tuple[str, ...] | None = None
    """Order in which the blanks are filled, counted from 0, or the word confidence: the surest
    first. Default: left to right."""
    batch_size: Positive[int] = 16
    """Number of texts decoded together."""
    tokens: Annotated[bool, Excludes("stream")] = False
    """Also show the tokens of every fill, and the likely ones in their place."""
    stream: Annotated[bool, Excludes("json", "output", "retrieve")] = False
    """Print each token as soon as it is chosen."""
    json: bool = False
    """Print one JSON object per text."""
    device: str = "auto"
    """auto (a GPU if there is one), cpu or cuda."""
    calibration: bool = True
    """Use what `unblank calibrate` has kept in the model's folder."""
    dtype: DType | None = None
    """Data type of the computation; fp16 is fastest on most CPUs, and there rounds weights only.
    Default: as the model was saved."""

    def filling_order(self) -> FillingOrder | None:
        """Return the order of the blanks; ValueError for other words."""
        if self.order is None:
            return None
        words = tuple(map(str, self.order))
        if words == ("confidence",):
            return "confidence"
        if not all(word.isdecimal() for word in words):
            raise ValueError(
                f"order is {' '.join(words)}: give the blanks by numbers from 0, or confidence"
            )
        return tuple(map(int, words))

    def decoding(self) -> DecodingOptions:
        """Return the decoding options alone."""
        names = [field.name for field in fields(DecodingOptions)]
        return DecodingOptions(**{name: getattr(self, name) for name in names})
