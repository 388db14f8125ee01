"""What a page shows: its blocks in reading order, and the commands of a shell block."""

import re
import shlex
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from glob import glob
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = [
    REPOSITORY / "README.md",
    REPOSITORY / "CONTRIBUTING.md",
    # The diary tells what was measured once.
    *(page for page in sorted((REPOSITORY / "docs").rglob("*.md")) if page.name != "log.md"),
]

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
_VARIABLE = re.compile(r"[A-Z_]+=")


@dataclass(frozen=True)
class Block:
    """A fenced block, and where it stands."""

    place: str
    language: str
    text: str


@dataclass(frozen=True)
class Command:
    """A command line, as a shell reads it.

    Attributes:
        place: page and line.
        words: program and arguments, without quotes.
        quoted: for each word whether it was quoted, so that a shell expands no pattern in it.
        variables: what is set before the program.
        input_file: what stands behind `<`.
    """

    place: str
    words: tuple[str, ...]
    quoted: tuple[bool, ...]
    variables: dict[str, str]
    input_file: str | None

    def arguments(self) -> list[str]:
        """Return what a shell hands over: the words, with patterns of files expanded."""
        expanded: list[str] = []
        for word, quoted in zip(self.words, self.quoted, strict=True):
            names = [] if quoted or "*" not in word else sorted(glob(word))
            expanded.extend(names or [word])
        return expanded


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page, in reading order."""
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        yield Block(f"{page.relative_to(REPOSITORY)}:{line}", found[1], found[2])


def sections(page: Path) -> list[list[Block]]:
    """Return the Python blocks of each section, those above the first heading of level 2 first."""
    headings = [0]
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("## "):
            headings.append(number)
    found: list[list[Block]] = [[] for _ in headings]
    for block in blocks(page):
        if block.language == "python":
            line = int(block.place.rpartition(":")[2])
            found[bisect(headings, line) - 1].append(block)
    return found


def commands(block: Block) -> Iterator[Command]:
    """Yield the commands of a shell block."""
    page, _, first = block.place.rpartition(":")
    lines = block.text.replace("\\\n", " \n")  # keeps the numbers of the lines
    start, waiting = 0, ""
    for number, (raw, line) in enumerate(
        zip(block.text.splitlines(), lines.splitlines(), strict=True), int(first) + 1
    ):
        start = start or number
        waiting += line
        if raw.endswith("\\"):
            continue
        if shlex.split(waiting, comments=True):
            yield _command(f"{page}:{start}", waiting)
        start, waiting = 0, ""


def _command(place: str, line: str) -> Command:
    words = shlex.split(line, comments=True)
    # The same words with their quotes; words are separated alike, as no quote begins inside one.
    raw = shlex.split(line, comments=True, posix=False)
    assert len(raw) == len(words), f"{place}: a quote inside a word: {line}"
    variables = {}
    while _VARIABLE.match(words[0]):
        name, _, variables[name] = words.pop(0).partition("=")
        raw.pop(0)
    input_file = None
    if "<" in words:
        where = words.index("<")
        input_file = words[where + 1]
        del words[where : where + 2], raw[where : where + 2]
    quoted = tuple(word[0] in "\"'" for word in raw)
    return Command(place, tuple(words), quoted, variables, input_file)
