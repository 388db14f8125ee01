"""What a rule says, as one expression over the characters of an answer.

The spaces before an answer do not belong to it. A word that must be there ends where the answer
does, or at white space or punctuation; one that must not, wherever a letter with its marks, a digit
or underscore meets something else. In scripts that are written without spaces either may stand
anywhere.
"""

from collections.abc import Callable, Sequence

import regex

from unblank.rules.code_points import (
    ALL,
    CodePoints,
    both,
    category,
    complement,
    script,
    single,
    union,
)
from unblank.rules.expressions import ANYTHING, EMPTY, Expressions
from unblank.rules.patterns import read_pattern
from unblank.rules.rule import Length, Rule

__all__ = ["SPACED_LETTER", "UNSPACED", "meaning_of", "needs_edge"]

AsWritten = Callable[[str], str | None]
"""A text -> how the tokenizer writes it; None if it cannot."""

_OF_SCRIPT = r"\p{{scx={}}}".format
_WITHOUT_SPACES = ("Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar", "Tibetan")

UNSPACED = rf"[{''.join(map(_OF_SCRIPT, _WITHOUT_SPACES))}]"
"""A character of scripts without spaces between words, in V1 of `regex`."""

SPACED_LETTER = rf"[\w--{UNSPACED}]"
"""A letter, mark, digit or underscore of scripts with spaces between words, in V1 of `regex`."""

_SPACED_LETTER = regex.compile(SPACED_LETTER, regex.V1)


# Where a word that must be there may end, and what is no word by itself: in all of Unicode there
# are so many such places that the automata of several words would grow too large.
_PUNCTUATED: CodePoints = (
    (0x00, 0xBF), (0x2000, 0x206F), (0x3000, 0x303F), (0xFF00, 0xFF0F)
)  # fmt: skip


def meaning_of(expressions: Expressions, rules: Sequence[Rule], as_written: AsWritten) -> int:
    """Return what all rules together say.

    Args:
        expressions: where it is made.
        rules: on one answer; what they say about tokens is left out.
        as_written: of the tokenizer.

    Raises:
        ValueError: a rule that cannot be read, or words that the tokenizer cannot write.
    """
    maker = _Maker(expressions, as_written)
    answer = expressions.both([part for rule in rules for part in maker.parts(rule)])
    space = expressions.characters(single(" "))
    starts_apart = expressions.negation(expressions.concat([space, ANYTHING]))
    return expressions.concat(
        [expressions.repeat(space, 0, None), expressions.both([answer, starts_apart])]
    )


class _Maker:
    def __init__(self, expressions: Expressions, as_written: AsWritten) -> None:
        self._make = expressions
        self._as_written = as_written

    def parts(self, rule: Rule) -> list[int]:
        """Return what a rule says, each part of it."""
        make = self._make
        found = [self._one_of(forms.split("|")) for forms in rule.contains]
        outside = complement(_spaced_letters())
        excluded = [form for forms in rule.excludes for form in forms.split("|") if form.strip()]
        found += [
            make.negation(self._containing(text, outside))
            for text in dict.fromkeys((*excluded, *map(self._as_written, excluded)))
            if text  # what cannot be written need not be excluded
        ]
        if rule.regex is not None:
            found.append(read_pattern(make, rule.regex))
        if rule.choices:
            texts = [self._written("choices", text) for text in rule.choices]
            found.append(make.either(map(make.text, texts)))
        if rule.words is not None:
            found.append(self._words(rule.words))
        if rule.characters is not None:
            found.append(make.repeat(make.characters(ALL), *_bounds(rule.characters)))
        if rule.case is not None:
            found.append(self._case(rule.case))
        if rule.script is not None:
            found.append(self._of_script(rule.script))
        return found

    def _one_of(self, forms: Sequence[str]) -> int:
        """Return what contains one of several forms, as far as the tokenizer can write them."""
        written = [self._as_written(form) for form in forms if form.strip()]
        if not any(written):
            self._written("contains", "|".join(forms))
        edges = both(complement(category("word")), _PUNCTUATED)
        return self._make.either(self._containing(form, edges) for form in written if form)

    def _written(self, name: str, text: str) -> str:
        written = self._as_written(text)
        if written is None:
            raise ValueError(
                f"{name}: the tokenizer of this model cannot write {text[:60]!r}: choose another "
                "wording"
            )
        return written

    def _every(self, points: CodePoints) -> int:
        return self._make.repeat(self._make.characters(points), 0, None)

    def _containing(self, text: str, around: CodePoints) -> int:
        """Return what contains a text between characters around it, or the edges of the answer."""
        make = self._make
        outside = make.characters(around)
        space = make.repeat(make.characters(category("space")), 1, None)
        parts: list[int] = []
        for piece in text.split():
            parts += [space, make.text(piece)] if parts else [make.text(piece)]
        before = after = ANYTHING
        if needs_edge(text.strip()[0]):
            before = make.either([EMPTY, make.concat([ANYTHING, outside])])
        if needs_edge(text.strip()[-1]):
            after = make.either([EMPTY, make.concat([outside, ANYTHING])])
        return make.concat([before, *parts, after])

    def _of_script(self, name: str) -> int:
        """Return what is made of digits or letters, or whose letters are of one script."""
        if name not in ("digits", "letters"):
            return self._every(union([script(name), complement(category("letter"))]))
        points = category("digit" if name == "digits" else "letter")
        around = self._every(points if name == "digits" else union([points, category("space")]))
        return self._make.concat([around, self._make.characters(points), around])

    def _words(self, length: Length) -> int:
        make, (low, high) = self._make, _bounds(length)
        space, marks = category("space"), both(category("punctuation"), _PUNCTUATED)
        spaces = make.repeat(make.characters(space), 1, None)
        mark = make.repeat(make.characters(marks), 1, None)
        no_words = self._every(union([space, marks]))
        if high == 0:
            return no_words
        first = make.characters(complement(union([space, marks])))
        word = make.concat([self._every(marks), first, self._every(complement(space))])
        gap = make.concat([spaces, make.repeat(make.concat([mark, spaces]), 0, None)])
        more = make.repeat(
            make.concat([gap, word]), max(low - 1, 0), None if high is None else high - 1
        )
        before = make.concat(
            [self._every(space), make.repeat(make.concat([mark, spaces]), 0, None)]
        )
        after = make.concat([make.repeat(make.concat([spaces, mark]), 0, None), self._every(space)])
        some = make.concat([before, word, more, after])
        return make.either([some, no_words]) if low == 0 else some

    def _case(self, case: str) -> int:
        if case != "title":
            return self._every(category(case))
        make, space = self._make, category("space")
        small = complement(category("upper"))
        first = make.characters(complement(union([space, small])))
        rest = self._every(complement(space))
        spaces = make.repeat(make.characters(space), 1, None)
        some = make.concat([first, rest])
        words = make.concat([some, make.repeat(make.concat([spaces, some]), 0, None)])
        anywhere = self._every(space)
        return make.concat([anywhere, make.either([EMPTY, words]), anywhere])


def _spaced_letters() -> CodePoints:
    unspaced = union(script(name, with_shared=True) for name in _WITHOUT_SPACES)
    return both(union([category("word"), category("mark")]), complement(unspaced))


def needs_edge(character: str) -> bool:
    """Whether a word that begins or ends with it must stand apart from its neighbours."""
    return _SPACED_LETTER.match(character) is not None


def _bounds(length: Length) -> tuple[int, int | None]:
    low, high = (length, length) if isinstance(length, int) else length
    return low or 0, high
