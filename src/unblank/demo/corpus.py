"""English prose that the installation itself carries, as documents of plain paragraphs.

The language reference of Python, and the docstrings of its standard library and of the packages
that Unblank needs, read from their files without importing them. A document is the prose of one
module. Code, tables and signatures are left out, and paragraphs that begin alike are taken once, so
that a copy in a held-out module has no twin in the training text.
"""

import hashlib
import importlib.metadata
import inspect
import re
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["installed_prose", "split_documents"]

LEFT_OUT = {"idlelib", "lib2to3", "site-packages", "dist-packages", "test", "tests", "turtledemo"}
MINIMUM_WORDS = 12
MINIMUM_LETTERS = 0.72
WORDS_OF_A_BEGINNING = 8
"""Paragraphs that share so many first words are near-duplicates of each other."""
MAXIMUM_CHARACTERS = 10_000_000

DOCSTRING = re.compile(r'^[ \t]*[rRuU]?("""|\'\'\')(.*?)\1', re.DOTALL | re.MULTILINE)
"""A string that begins a line; far quicker than a parse of the code, and as good for prose."""


def installed_prose() -> list[str]:
    """Return documents: paragraphs separated by blank lines, no two of which begin alike."""
    beginnings: set[str] = set()
    documents: list[str] = []
    num_characters = 0
    for text in _modules():
        paragraphs = []
        for paragraph in _paragraphs(text):
            beginning = _beginning(paragraph)
            if beginning not in beginnings:
                beginnings.add(beginning)
                paragraphs.append(paragraph)
        if paragraphs:
            documents.append("\n\n".join(paragraphs))
            num_characters += len(documents[-1])
        if num_characters > MAXIMUM_CHARACTERS:
            break
    return documents


def split_documents(documents: Iterable[str], one_in: int = 20) -> tuple[list[str], list[str]]:
    """Return training and held-out documents; a document's own hash decides, one in `one_in`."""
    train: list[str] = []
    held_out: list[str] = []
    for document in documents:
        digest = hashlib.blake2b(document.encode(), digest_size=8).digest()
        is_held_out = int.from_bytes(digest, "big") % one_in == 0
        (held_out if is_held_out else train).append(document)
    return train, held_out


def _modules() -> Iterator[str]:
    """Yield the docstrings of one module after another, blank lines between them."""
    from pydoc_data.topics import topics

    yield from topics.values()
    for path in (*_standard_library(), *_dependencies()):
        try:
            code = path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, OSError):  # templates and test data among the modules
            continue
        yield "\n\n".join(inspect.cleandoc(found[2]) for found in DOCSTRING.finditer(code))


def _standard_library() -> Iterator[Path]:
    root = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(root.rglob("*.py")):
        if LEFT_OUT.isdisjoint(path.relative_to(root).parts):
            yield path


def _dependencies() -> Iterator[Path]:
    """Yield the modules of the packages that Unblank needs, and of those that these need."""
    names, done = ["unblank"], set()
    while names:
        name = names.pop(0)
        if name in done:
            continue
        done.add(name)
        try:
            package = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:  # for another system or Python
            continue
        needed = [one for one in package.requires or () if "extra ==" not in one]
        names += [re.split(r"[^\w.-]", one)[0] for one in needed]
        if name == "unblank":
            continue
        for file in sorted(package.files or (), key=str):
            if file.suffix == ".py" and LEFT_OUT.isdisjoint(file.parts):
                yield Path(str(file.locate()))


def _beginning(paragraph: str) -> str:
    words = re.sub(r"[^a-z ]", "", paragraph.lower()).split()
    return " ".join(words[:WORDS_OF_A_BEGINNING])


def _paragraphs(text: str) -> Iterator[str]:
    for block in re.split(r"\n\s*\n", text):
        paragraph = " ".join(block.split())
        if not block[:1].isspace() and _is_prose(paragraph):
            yield re.sub(r'["`*]+', "", paragraph)


def _is_prose(paragraph: str) -> bool:
    letters = sum(character.isalpha() or character == " " for character in paragraph)
    return (
        len(paragraph.split()) >= MINIMUM_WORDS
        and letters >= MINIMUM_LETTERS * len(paragraph)
        and paragraph[-1] in ".!?:"
        and ">>>" not in paragraph
        and "::=" not in paragraph
    )
