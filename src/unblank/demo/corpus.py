"""English prose that every installation carries: the docstrings of Python and of what we need.

Sources: the language reference in `pydoc_data.topics`, and the docstrings of the standard library
and of the packages that this one depends on, cut from their files without importing them. Code,
tables and signatures are left out, and so is a paragraph that begins like one before it. Whole
modules are held out, and of them only what no training text repeats.
"""

import hashlib
import os
import re
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from itertools import chain
from pathlib import Path

__all__ = ["installed_prose", "split_by_source"]

_PACKAGE = "unblank"
_LEFT_OUT = {"_vendor", "idlelib", "lib2to3", "test", "testing", "tests", "turtledemo"}
_OF_PACKAGES = {"site-packages", "dist-packages"}

# A parser would be exact, but takes four times as long.
_DOCSTRING = re.compile(r'("""|\'\'\')(.*?)\1', re.DOTALL)
_LIST_ITEM = r"[ \t]*[*`\w][*`\w, ]*(?:\([^)\n]*\))?[ \t]*:"
"""What begins the description of a parameter: `name`, `name (type):`, `name : type`."""
_BREAK = re.compile(rf"\n(?:[ \t]*\n)+|\n(?={_LIST_ITEM}[ \t])")
_ITEM_HEAD = re.compile(rf"{_LIST_ITEM}(?:[ \t]+|[^\n]*(?:\n[ \t]+|:[ \t]+))(?=[A-Z])")
_MARKUP = re.compile(r":[a-z:]+:(?=`)|[`*\"]+")
_CODE = re.compile(
    r">>>|::|\w\(|[=<>{}|\\@#$\[\]~^]|https?:|\w_\w|\w\.\w+\.\w|--|\.\.\.|^[\w, /.]{1,30}\s?:\s"
)
_FEWEST_CHARACTERS, _FEWEST_WORDS = 40, 8
_LEAST_LETTERS = 0.9
_WORDS_OF_A_BEGINNING = 8
_WORDS_OF_A_COPY = 8
_WORD = re.compile(r"\w+")
_REQUIREMENT = re.compile(r"[A-Za-z0-9._-]+")


def installed_prose() -> dict[str, list[str]]:
    """Return module -> its paragraphs of prose; no two of all paragraphs begin alike."""
    seen: set[str] = set()
    found: dict[str, list[str]] = {}
    for module, text in chain(_topics(), _modules()):
        for paragraph in prose_paragraphs(text):
            beginning = " ".join(paragraph.lower().split()[:_WORDS_OF_A_BEGINNING])
            if beginning not in seen:
                seen.add(beginning)
                found.setdefault(module, []).append(paragraph)
    return found


def split_by_source(
    paragraphs: Mapping[str, Sequence[str]], one_in: int = 20
) -> tuple[list[str], list[str]]:
    """Return training and held-out paragraphs: those of whole sources, one in `one_in`.

    A hash of a source's name decides. What shares eight words in a row with the training
    paragraphs is not held out but left out.

    Args:
        paragraphs: source -> its paragraphs.
        one_in: how many sources there are for one that is held out.
    """
    train: list[str] = []
    held_out: list[str] = []
    for source, texts in paragraphs.items():
        digest = hashlib.blake2b(source.encode(), digest_size=8).digest()
        is_held_out = int.from_bytes(digest, "big") % one_in == 0
        (held_out if is_held_out else train).extend(texts)
    runs = [_word_runs(text) for text in held_out]
    watched = set().union(*runs)
    repeated = set().union(*(watched.intersection(_word_runs(text)) for text in train))
    return train, [
        text for text, own in zip(held_out, runs, strict=True) if repeated.isdisjoint(own)
    ]


def _word_runs(text: str, length: int = _WORDS_OF_A_COPY) -> set[str]:
    """Return all runs of `length` words of a text, lower-cased; of a shorter one, the text."""
    words = _WORD.findall(text.lower())
    return {
        " ".join(words[start : start + length]) for start in range(max(len(words) - length, 0) + 1)
    }


def prose_paragraphs(text: str) -> Iterator[str]:
    """Yield the paragraphs of a docstring that are sentences, in one line each, without markup."""
    for block in _BREAK.split(text):
        head = _ITEM_HEAD.match(block)
        paragraph = " ".join(block[head.end() if head else 0 :].split())
        if _may_be_prose(paragraph):
            paragraph = _MARKUP.sub("", paragraph)
            if _is_prose(paragraph):
                yield paragraph


def _may_be_prose(paragraph: str) -> bool:
    """Return whether a paragraph is worth a closer look; nearly all are not."""
    return (
        len(paragraph) >= _FEWEST_CHARACTERS and paragraph[-1] in ".!?:" and paragraph[0].isupper()
    )


def _is_prose(paragraph: str) -> bool:
    letters = sum(character.isalpha() or character == " " for character in paragraph)
    return (
        paragraph.count(" ") >= _FEWEST_WORDS - 1
        and letters >= _LEAST_LETTERS * len(paragraph)
        and _CODE.search(paragraph) is None
    )


def _topics() -> Iterator[tuple[str, str]]:
    from pydoc_data.topics import topics

    for name, text in topics.items():
        yield f"topic {name}", text


def _modules() -> Iterator[tuple[str, str]]:
    """Yield name and docstrings of each module of the standard library and of what we need."""
    for name, path in chain(_standard_library(), _packages()):
        try:
            source = path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, OSError):  # templates and test data among the modules
            continue
        yield name, "\n\n".join(found[2] for found in _DOCSTRING.finditer(source))


def _standard_library() -> Iterator[tuple[str, Path]]:
    root = Path(sysconfig.get_paths()["stdlib"])
    found: list[Path] = []
    for folder, folders, files in os.walk(root):
        folders[:] = {*folders} - _LEFT_OUT - _OF_PACKAGES  # half of all, which are not entered
        found += [Path(folder, file) for file in files if file.endswith(".py")]
    for path in sorted(found):
        yield path.relative_to(root).as_posix(), path


def _packages() -> Iterator[tuple[str, Path]]:
    for _, package in sorted(_requirements(_PACKAGE, {}).items()):
        for file in package.files or ():
            if file.suffix == ".py" and _LEFT_OUT.isdisjoint(file.parts):
                yield file.as_posix(), Path(str(file.locate()))


def _requirements(name: str, found: dict[str, Distribution]) -> dict[str, Distribution]:
    """Return what a package needs, itself included, by name; what is not installed is left out."""
    name = re.sub(r"[-_.]+", "-", name).lower()
    if name not in found:
        try:
            package = distribution(name)
        except PackageNotFoundError:  # needed by other systems
            return found
        found[name] = package
        for requirement in _without_extras(package.requires or ()):
            _requirements(requirement, found)
    return found


def _without_extras(requirements: Iterable[str]) -> Iterator[str]:
    for requirement in requirements:
        match = _REQUIREMENT.match(requirement)
        if match and "extra ==" not in requirement:
            yield match.group()
