"""What the patterns of a tokenizer may cost: tried on short texts before the tokenizer is opened.

A regular expression may take a time that grows with the square of a text, or doubles with each
character, and a chain of replacements may let a text grow without bound. The tokenizers library
holds Python's lock meanwhile, so neither can be interrupted.
"""

import math
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from unblank.plurals import counted
from unblank.untrusted.json_text import read_json_object
from unblank.untrusted.panics import panics_named, without_native_messages

__all__ = ["refuse_costly_patterns"]

_USING = ("normalizer", "pre_tokenizer", "decoder")
"""Parts of a `tokenizer.json` that change or divide text by patterns."""
_MOST_GROWTH = 1000
"""How often the replacements of a part, one after another, may make a text longer."""
_ORDINARY = (
    "the old grey cat sat on 12 mats, and saw a dog. ",
    "unbelievable",
    "a1 b2_c3-",
    "\u4e2d\u6587",
)
_LENGTHS = {12: 0.1, 16: 0.1, 20: 0.1, 24: 0.1, 48: 0.1, 96: 0.1, 192: 0.1, 384: 0.1, 1024: 0.1}
"""Characters of the texts and the seconds of the processor that a pattern may take for them, in
small steps: what doubles with each character must end early."""
_LONG_TEXT, _LONG_RUN = {4096: 0.1, 16384: 0.15}, {4096: 1.0}
"""The longest: where the time grows with the square of a text, that is 1 second instead of 0.01;
runs of one character are rare, and many good patterns take the square of their length."""
_MOST_LITERALS = 16
_TRIES, _HOPELESS = 4, 50


def refuse_costly_patterns(path: Path) -> None:
    """Raise for a tokenizer whose patterns would take hours on ordinary text.

    Raises:
        ValueError: the pattern, and how long it took; or the file is damaged.
    """
    parts = read_json_object(path)
    for name in _USING:
        steps = list(_objects(parts.get(name)))
        _require_bounded_growth(path, name, steps)
        for step in steps:
            pattern = step.get("Regex")
            if isinstance(pattern, str):
                _require_fast(path, pattern)


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inner:
        yield from _objects(item)


def _require_bounded_growth(path: Path, name: str, steps: list[dict[str, Any]]) -> None:
    contents = [step["content"] for step in steps if isinstance(step.get("content"), str)]
    growth = math.prod(max(len(content), 1) for content in contents)
    if growth > _MOST_GROWTH:
        raise ValueError(
            f"the {name} of {path} can make a text {growth:,} times longer by its "
            f"{counted(len(contents), 'replacement')}: take a tokenizer with fewer of them"
        )


def _require_fast(path: Path, pattern: str) -> None:
    from tokenizers import Regex, pre_tokenizers

    shown = f"{path} has the pattern {pattern[:80]!r}"
    try:
        divide = pre_tokenizers.Split(Regex(pattern), behavior="isolated").pre_tokenize_str
    except Exception as error:  # the tokenizers library raises bare Exception
        raise ValueError(f"{shown}, which is not a regular expression: {error}") from error
    for text, bound in _trials(pattern):
        gives_up = f"{shown}, which gives up on short texts (take another tokenizer)"
        with panics_named(gives_up), without_native_messages():
            seconds = _least_seconds(divide, text, bound)
        if seconds > bound:
            raise ValueError(
                f"{shown}, which takes {seconds:.2f} seconds for {len(text):,} characters, and far "
                "longer for more: take a tokenizer with simpler patterns"
            )


def _least_seconds(divide: Callable[[str], object], text: str, bound: float) -> float:
    """Return the seconds of the processor for a text; a slow time is not believed at once.

    Memory that the system has to find, or a busy machine, may slow any pattern down.
    """
    least = math.inf
    for _ in range(_TRIES):
        began = time.thread_time()
        divide(text)
        least = min(least, time.thread_time() - began)
        if least <= bound or least > _HOPELESS * bound:
            break
    return least


def _trials(pattern: str) -> Iterator[tuple[str, float]]:
    """Yield texts, short ones first, and the seconds that they may take."""
    plain = re.sub(r"\\[pP]\{[^}]*\}|\\.|\(\?[a-z]*:?|[\[\](){}|*+?.^$]|\s", "", pattern)
    literals = plain[:_MOST_LITERALS]
    runs = dict.fromkeys([" ", "\n", "a", "0", "!", *literals])
    kinds = ((runs, _LENGTHS), (_ORDINARY, _LENGTHS | _LONG_TEXT), (runs, _LONG_RUN))
    for pieces, lengths in kinds:
        for length, bound in lengths.items():
            for piece in pieces:
                run = (piece * length)[:length]
                # The library looks first whether what the pattern spells is there at all.
                yield f"{run}!{literals}", bound
                yield run + ("a" if piece != "a" else " "), bound
