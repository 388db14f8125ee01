"""A glossary: where a source holds a term, the answer must hold one of its translations."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import regex

from unblank.data.fields import field_value
from unblank.data.records import read_records
from unblank.rules.meaning import SPACED_LETTER, UNSPACED, needs_edge
from unblank.rules.rule import Rule

__all__ = ["is_met", "read_glossary"]


class Glossary:
    """Terms and what they must become.

    Args:
        terms: term of the source -> forms of its translation, divided by |.
    """

    def __init__(self, terms: Mapping[str, str]) -> None:
        self._forms = {term.casefold(): forms for term, forms in terms.items()}
        longest_first = sorted(terms, key=len, reverse=True)
        self._pattern = regex.compile(
            "|".join(map(_pattern_of, longest_first)), regex.IGNORECASE | regex.V1
        )

    def translations(self, source: str) -> list[str]:
        """Return the forms of each term in a source, in its order, divided by |.

        A term is a word or several in a row, in any case; it does not begin or end inside a word,
        but anywhere in a script that is written without spaces.
        Of terms that overlap, the longest counts.
        """
        return [self._forms[term.casefold()] for term in self._terms(source)]

    def hinted(self, source: str) -> str:
        """Return a source behind its terms and their first forms; unchanged if it has none.

        Example:
            >>> Glossary({"prompting": "Abfragen|Abfrage", "cat": "Katze"}).hinted("On Prompting")
            'Prompting = Abfragen. On Prompting'
        """
        terms = [
            f"{term} = {self._forms[term.casefold()].partition('|')[0]}"
            for term in self._terms(source)
        ]
        return f"{'; '.join(terms)}. {source}" if terms else source

    def rules_for(self, source: str) -> tuple[Rule, ...]:
        """Return the rules on the answer to a source."""
        return tuple(Rule(contains=(forms,)) for forms in self.translations(source))

    def _terms(self, source: str) -> list[str]:
        """Return the terms in a source, each once as it first stands there."""
        found: dict[str, str] = {}
        for one in self._pattern.finditer(source):
            term = " ".join(one[0].split())
            if term.casefold() in self._forms:
                found.setdefault(term.casefold(), term)
        return list(found.values())


def is_met(forms: str, answer: str) -> bool:
    """Return whether an answer holds a term; its case does not count.

    Nor do spaces around punctuation, and beside characters of scripts without spaces.

    Args:
        forms: of the term, divided by |.
        answer: of the model.

    Example:
        >>> is_met("war|wars", "toward"), is_met("well-known", "A Well - known man")
        (False, True)
        >>> is_met("战争|", "战 争 中")
        True
    """
    written = _tight(answer)
    return any(
        regex.search(_pattern_of(_tight(form)), written, regex.IGNORECASE | regex.V1)
        for form in forms.split("|")
        if form.strip()
    )


def _tight(text: str) -> str:
    tight: str = regex.sub(rf"(?V1)\s*(\p{{P}}|{UNSPACED})\s*", r"\1", text.strip())
    return tight


def read_glossary(path: Path) -> Glossary:
    """Return the glossary of a file of two columns: a term, and its translation.

    Args:
        path: .tsv or .csv without a header; inflected forms of a translation are divided by |.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line without both, or a term that stands there twice; the message names file
            and line.
    """
    if path.suffix.lower() not in (".tsv", ".csv"):
        raise ValueError(f"{path} must be a .tsv or .csv with two columns, term and translation")
    terms: dict[str, str] = {}
    seen: set[str] = set()
    for place, term, translation in _lines(path):
        if term.casefold() in seen:
            raise ValueError(f"{place}: the term {term!r} occurs twice: put all forms in one line")
        seen.add(term.casefold())
        terms[term] = translation
    if not terms:
        raise ValueError(f"{path} has no term: give lines of a term, a tab and its translation")
    return Glossary(terms)


def _lines(path: Path) -> Iterator[tuple[str, str, str]]:
    for place, record in read_records(path, ["1", "2"]):
        term, translation = (_text(field_value(place, record, name)) for name in ("1", "2"))
        forms = [form.strip() for form in translation.split("|") if form.strip()]
        if not term or not forms:
            raise ValueError(f"{place}: a line must have a term and its translation")
        yield place, term, "|".join(forms)


def _text(value: str | Sequence[str]) -> str:
    return " ".join((value if isinstance(value, str) else " ".join(value)).split())


def _pattern_of(term: str) -> str:
    words = r"\s+".join(map(regex.escape, term.split()))
    before = f"(?<!{SPACED_LETTER})" if needs_edge(term[0]) else ""
    after = f"(?!{SPACED_LETTER})" if needs_edge(term[-1]) else ""
    return before + words + after
