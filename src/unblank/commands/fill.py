"""`unblank fill`: fills the blanks of texts; coloured lines or JSON lines come out."""

from dataclasses import dataclass, fields
from typing import Literal

from unblank.generation.options import DecodingOptions

__all__ = ["FillSettings", "run"]


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


def run(settings: FillSettings) -> None:
    """Fill the texts and print them.

    Raises:
        ValueError: as for `Unblank.fill`, once the others are filled; also if nothing is given.
        FileNotFoundError: as for `unblank.load`.
    """
    from unblank.commands.fill_printing import fill_and_print

    if settings.stream and settings.json:
        raise ValueError("--stream prints tokens and --json finished results: choose one")
    fill_and_print(settings)
