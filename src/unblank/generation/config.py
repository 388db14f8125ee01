"""Settings of the commands `fill` and `score`.

Only dataclasses, so that `--help` is quick. Every field's docstring is its help text.
"""

from dataclasses import dataclass, fields
from typing import Literal

from unblank.generation.options import DecodingOptions

__all__ = ["FillSettings", "ScoreSettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FillSettings(DecodingOptions):
    """Fill the blanks ([MASK], [sMASK], [gMASK]) of texts."""

    model: str
    """Folder of the model."""
    text: tuple[str, ...]
    """Texts with blanks; none, or a single -, reads standard input, one text a line."""
    order: tuple[int, ...] | None = None
    """Order in which blanks are filled, counted from 0; left to right if not given."""
    batch_size: int = 16
    """Texts decoded together."""
    stream: bool = False
    """Print every token as soon as it is chosen."""
    json: bool = False
    """Print one JSON object a text."""
    device: str = "auto"
    """auto (a GPU if there is one), cpu or cuda."""
    dtype: Literal["fp32", "bf16"] | None = None
    """Arithmetic; not given is as the model was saved."""

    def decoding(self) -> DecodingOptions:
        """Return the decoding options alone."""
        names = [field.name for field in fields(DecodingOptions)]
        return DecodingOptions(**{name: getattr(self, name) for name in names})


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreSettings:
    """Score candidates for a blank, or for what answers a source, by their log-probability."""

    model: str
    """Folder of the model."""
    text: tuple[str, ...]
    """Texts with a blank, or sources; none, or a single -, reads standard input, one a line."""
    candidates: tuple[str, ...] = ()
    """What may stand in the blank, or be written; at least one."""
    blank: int = 0
    """Which blank of the text, counted from 0; the others stay blank."""
    normalization: Literal["sum", "mean"] = "sum"
    """Sum of token log-probabilities, or their mean."""
    include_end: bool = True
    """Count the probability that the candidate ends where it does."""
    context: Literal["bi", "uni"] = "bi"
    """Whether tokens of the text see both sides, or only backwards; answers see all of the text."""
    source_tag: str | None = None
    """Encoder-decoder: language tag put before the source, for example __de__."""
    json: bool = False
    """Print one JSON object a text."""
    device: str = "auto"
    """auto (a GPU if there is one), cpu or cuda."""
    dtype: Literal["fp32", "bf16"] | None = None
    """Arithmetic; not given is as the model was saved."""

    def __post_init__(self) -> None:
        if not self.candidates:
            raise ValueError("there are no candidates: add --candidates ONE TWO ...")
