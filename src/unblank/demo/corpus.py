"""English prose that every Python installation carries, as documents of plain paragraphs.

Two sources: the language reference in `pydoc_data.topics`, and the docstrings of the standard
library, read from its files without importing them. Code, tables and signatures are left out.
"""

import ast
import hashlib
import re
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["python_prose", "split_documents"]

LEFT_OUT = {"idlelib", "lib2to3", "site-packages", "dist-packages", "test", "tests", "turtledemo"}
MINIMUM_WORDS = 12
MINIMUM_LETTERS = 0.72


def python_prose() -> list[str]:
    """Return documents: paragraphs of prose separated by blank lines, none of them twice."""
    seen: set[str] = set()
    documents = []
    for text in (*_topics(), *_docstrings()):
        paragraphs = [part for part in _paragraphs(text) if part not in seen]
        seen.update(paragraphs)
        if paragraphs:
            documents.append("\n\n".join(paragraphs))
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


def _topics() -> Iterator[str]:
    from pydoc_data.topics import topics

    yield from topics.values()


def _docstrings() -> Iterator[str]:
    root = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(root.rglob("*.py")):
        if LEFT_OUT.isdisjoint(path.relative_to(root).parts):
            yield from _docstrings_of(path)


def _docstrings_of(path: Path) -> Iterator[str]:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError, OSError):  # templates and test data among the modules
        return
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, documented) and (docstring := ast.get_docstring(node)):
            yield docstring


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
