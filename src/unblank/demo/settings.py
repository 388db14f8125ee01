"""Settings of the demo; only a dataclass, so that `--help` is quick."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["DemoSettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoSettings:
    """Train a tiny GLM on this machine and fill blanks with it.

    The corpus is the English prose that every Python carries (the language reference and the
    standard library's docstrings), or your own text.
    """

    text: tuple[Path, ...] = ()
    """Your own text instead: files, folders or globs of .txt, .jsonl, .parquet."""
    output: Path = Path("unblank-demo")
    """Folder for the corpus, the model, the metrics and the plot."""
    steps: int = 2000
    """Training steps; fewer is quicker and worse."""
    seed: int = 0
    """Seed of everything."""
    sentences: int = 6
    """Held-out sentences to fill at the end."""

    arrange_memory: bool = True
    """Huge pages and a malloc that keeps its memory, for this process (Linux)."""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps is {self.steps}; train at least 1 step")
        if self.sentences < 0:
            raise ValueError(f"sentences is {self.sentences}; 0 or more")
