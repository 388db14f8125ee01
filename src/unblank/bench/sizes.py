"""The sizes that are measured. Standard library alone.

A size fixes the model and the shape of a training step: texts of `text` tokens become rows of Part
A (`part_a` positions) and Part B (`part_b`), which is what 15 % token spans make of them.
"""

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["SIZES", "Size", "SizeName"]

SizeName = Literal["toy", "tiny", "small", "base"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """A model and the shape of its training step."""

    name: SizeName
    layers: int
    width: int
    heads: int
    vocabulary: int
    large_vocabulary: int
    """Vocabulary of the measurement that shows what a multilingual vocabulary costs."""
    text: int
    """Tokens of original text in a row."""
    part_a: int
    part_b: int
    batch: int
    """Rows in a step."""

    @property
    def row_length(self) -> int:
        """Positions of a row."""
        return self.part_a + self.part_b

    @property
    def discriminator_layers(self) -> int:
        """Layers of GanLM's discriminator: a third of the generator's, as in the base model."""
        return max(1, self.layers // 3)

    @property
    def text_tokens(self) -> int:
        """Tokens of original text in a step."""
        return self.batch * self.text

    @property
    def is_toy(self) -> bool:
        """Whether it only shows that a benchmark runs: its rows have no target."""
        return self.name == "toy"

    @property
    def decoding(self) -> dict[str, Any]:
        """Arguments of a workload that decodes: itself, and tokens of the context and an answer."""
        context, tokens = (16, 4) if self.is_toy else (128, 32)
        return {"size": self.name, "context": context, "tokens": tokens}


SIZES: dict[str, Size] = {
    "toy": Size(
        name="toy", layers=2, width=64, heads=2, vocabulary=512, large_vocabulary=1024,
        text=64, part_a=58, part_b=16, batch=2,
    ),
    "tiny": Size(  # the demo's step
        name="tiny", layers=4, width=192, heads=3, vocabulary=8192, large_vocabulary=250112,
        text=51, part_a=34, part_b=30, batch=32,
    ),
    "small": Size(
        name="small", layers=6, width=384, heads=6, vocabulary=30592, large_vocabulary=250112,
        text=256, part_a=218, part_b=64, batch=16,
    ),
    "base": Size(
        name="base", layers=12, width=768, heads=12, vocabulary=30592, large_vocabulary=250112,
        text=512, part_a=436, part_b=128, batch=2,
    ),
}  # fmt: skip
