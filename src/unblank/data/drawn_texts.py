"""Documents of several sources, as a tokenizer is trained on them: of each its share.

With an exponent alpha the shares of the characters are proportional to characters ** alpha, as
multilingual vocabularies are made (XLM, section 3.1; MultiGLM has alpha 0.3). As much is drawn as
there is, or as is asked for: small sources are read several times, of large ones a part is left
out. The same documents are drawn each time.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from unblank.data.mixing import size_shares
from unblank.data.permutation import uniform
from unblank.data.sources import TextFiles

__all__ = ["DrawnTexts", "beginnings"]


@dataclass(slots=True)
class DrawnTexts:
    """The drawn documents, as often as it is iterated over.

    Attributes:
        sources: each of one language, or of one entry.
        alpha: exponent of the shares; None goes by size.
        num_characters: to draw; None for as many as there are.
        num_bytes_read: bytes of the files read so far, or characters of what is in memory; what is
            read again is counted again.
    """

    sources: Sequence[Iterable[str]]
    alpha: float | None = None
    num_characters: int | None = None
    num_bytes_read: int = field(default=0, init=False)
    _passes: list[float] = field(default_factory=list, init=False)

    @property
    def passes(self) -> list[float]:
        """How many times each source is read, on average; the first question reads all of it."""
        if not self._passes:
            if self.alpha is None and self.num_characters is None:
                self._passes = [1.0] * len(self.sources)
            else:
                sizes = [sum(map(len, source)) for source in self.sources]
                wanted = min(self.num_characters or sum(sizes), sum(sizes))
                self._passes = _passes(sizes, 1.0 if self.alpha is None else self.alpha, wanted)
        return self._passes

    @property
    def num_bytes(self) -> int:
        """Bytes that one iteration reads, as for `num_bytes_read`."""
        pairs = zip(self.sources, self.passes, strict=True)
        return sum(_num_bytes(source) * -int(-times // 1) for source, times in pairs)

    @property
    def shown_paths(self) -> str:
        """Names of the files for a message, of many the first three."""
        files = [source for source in self.sources if isinstance(source, TextFiles)]
        paths = [path for source in files for path in source.paths]
        return ", ".join(map(str, paths[:3])) + ", ..." * (len(paths) > 3)

    def __iter__(self) -> Iterator[str]:
        """Yield the documents, one source after the other; errors as for `TextFiles`."""
        self.num_bytes_read = before = 0
        for number, (source, times) in enumerate(zip(self.sources, self.passes, strict=True)):
            whole, rest = divmod(times, 1)
            for turn in range(-int(-times // 1)):
                for place, text in enumerate(source):
                    if isinstance(source, TextFiles):
                        self.num_bytes_read = before + source.num_bytes_read
                    if turn < whole or uniform(number, place) < rest:
                        yield text
                before += _num_bytes(source)
                self.num_bytes_read = before


def beginnings(sources: Sequence[Iterable[str]], num_characters: int) -> Iterator[str]:
    """Yield the first documents of each source, as many characters of each, the last one cut.

    Args:
        sources: documents of each.
        num_characters: of all sources together, at most.

    Example:
        >>> list(beginnings([["abcdef"], ["gh", "ijk"]], 6))
        ['abc', 'gh', 'i']
    """
    for source in sources:
        room = num_characters // len(sources)
        for text in source:
            yield text[:room]
            room -= len(text)
            if room <= 0:
                break


def _num_bytes(source: Iterable[str]) -> int:
    return source.num_bytes if isinstance(source, TextFiles) else sum(map(len, source))


def _passes(sizes: Sequence[int], alpha: float, wanted: int) -> list[float]:
    known = [size for size in sizes if size]  # an empty source has nothing to draw
    if not known:
        return [1.0] * len(sizes)
    shares = iter(size_shares(known, alpha).tolist())
    return [next(shares) * wanted / size if size else 0.0 for size in sizes]
