"""What a file that is not UTF-8 probably is, so that the advice does not spoil its good lines.

Bytes alone do not say which encoding they are in, but they give hints, and these are reported: a
packed file without its ending, a byte order mark, surrogates, one odd line among many of UTF-8.
"""

import codecs
import re
import shlex
from collections.abc import Iterable
from pathlib import Path

from unblank.data.formats import compression_of

__all__ = ["advise_on_file", "advise_on_format", "advise_on_line", "is_no_text", "is_wide"]

_NO_TEXT = {
    b"PK\x03\x04": "a zip file (or an office document): unpack it, or save it as text",
    b"%PDF-": "a PDF: extract its text first",
    b"version https://git-lfs": "a git-lfs pointer: fetch the file itself (git lfs pull)",
}
"""Signatures that are UTF-8, but begin no text."""
_SIGNATURES = _NO_TEXT | {
    b"\x1f\x8b": "a gzip file: let its name end in .gz",
    b"BZh": "a bzip2 file: let its name end in .bz2",
    b"\xfd7zXZ\0": "an xz file: let its name end in .xz",
    b"\x28\xb5\x2f\xfd": "a zstd file: let its name end in .zst",
    b"PAR1": "a parquet file: let its name end in .parquet",
    b"\x5d\0\0": "an lzma file: unpack it",
    b"\x04\x22\x4d\x18": "an lz4 file: unpack it",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive: unpack it",
    b"Rar!\x1a\x07": "a RAR archive: unpack it",
}
_UNPACKERS = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd"}
_MARKS = {  # the marks of UTF-32 begin with those of UTF-16
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_SURROGATE_PAIR = re.compile(rb"\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]")
_FOUR_BYTES = re.compile(rb"[\xf0-\xf4]")
"""A character beyond the first 65,536, which CESU-8 writes as a pair of surrogates."""
_SURROGATE = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
_OTHER_WORD = re.compile(rb"[\x80-\xff]{4}")
"""Several letters beyond ASCII in a row, as in Cyrillic or Greek and hardly ever in Latin."""
_OVERLONG = re.compile(rb"[\xc0\xc1][\x80-\xbf]")
"""ASCII in two bytes, which UTF-8 does not allow and Java's writes for NUL."""
_LINES_LOOKED_AT = 100_000
_BYTES_LOOKED_AT = 2**28


def advise_on_file(name: str, bad: bytes, lines: Iterable[bytes]) -> str:
    r"""Return what to do about a file with a line that is not UTF-8.

    Args:
        name: of the file, for the command.
        bad: the line.
        lines: all lines of the file, from the first on.

    Example:
        >>> advise_on_file("a.txt", b"caf\xe9", [b"caf\xe9"])
        'if it is LATIN1, convert it: iconv -f LATIN1 -t UTF-8 a.txt > NEW'
    """
    good, wrong, first, num_bytes, has_long = 0, 0, b"", 0, False
    for number, line in zip(range(_LINES_LOOKED_AT), lines, strict=False):
        first = first if number else line
        num_bytes += len(line)
        if num_bytes > _BYTES_LOOKED_AT:
            break
        if not line.isascii():
            good, wrong = (good + 1, wrong) if _is_utf8(line) else (good, wrong + 1)
            has_long = has_long or _FOUR_BYTES.search(line) is not None
    if advice := advise_on_format(first):
        return f"it is {advice}"
    encoding = _wide_encoding(first)
    if encoding:
        return f"it is {encoding}: convert it: {_conversion(name, encoding)}"
    if _has_cesu(bad) and not has_long:
        convert = _conversion(name, "CESU-8", "uconv")
        return f"it is CESU-8, as some databases write it: convert it: {convert}"
    if good:
        return (
            f"do not convert the whole file: of its lines with characters beyond ASCII {good:,} "
            f"are UTF-8 and {wrong:,} not. {_capital(advise_on_line(bad))}"
        )
    if _SURROGATE.search(bad) or _OVERLONG.search(bad):
        return advise_on_line(bad)
    guess = _single_byte_encoding(bad)
    if guess is None:
        return f"find out its encoding and convert it: {_conversion(name, 'ENCODING')}"
    return f"if it is {guess}, convert it: {_conversion(name, guess)}"


def advise_on_format(first: bytes) -> str:
    r"""Return what a file is that begins so, and what to do; empty if it may be text.

    Example:
        >>> advise_on_format(b"\xfd7zXZ\0..."), advise_on_format(b"the old cat")
        ('an xz file: let its name end in .xz', '')
    """
    if first[257:262] == b"ustar":
        return "a tar archive: unpack it"
    return next((said for begin, said in _SIGNATURES.items() if first.startswith(begin)), "")


def is_no_text(first: bytes) -> bool:
    """Whether a file that begins so is of another format, although this line is UTF-8."""
    return first[257:262] == b"ustar" or first.startswith(tuple(_NO_TEXT))


def advise_on_line(bad: bytes) -> str:
    r"""Return what to do about one line that is not UTF-8, whatever the others are.

    Example:
        >>> advise_on_line(b"a \xa3")
        "correct or remove this line (as LATIN1 it reads 'a \xa3')"
        >>> advise_on_line(bytes.fromhex("eda0bdedb880"))
        'the line has CESU-8, as some databases write it: convert it with uconv -f CESU-8 -t UTF-8'
    """
    if _has_cesu(bad):
        return (
            "the line has CESU-8, as some databases write it: convert it with "
            "uconv -f CESU-8 -t UTF-8"
        )
    if _SURROGATE.search(bad):
        return "the line has half of a surrogate pair, not a character: correct or remove it"
    if _OVERLONG.search(bad):
        return "the line has ASCII in two bytes, as Java's modified UTF-8 writes NUL: correct it"
    guess = None if _mixes_utf8(bad) else _single_byte_encoding(bad)
    shown = ""
    if guess is not None:
        text = bad.decode("cp1252" if guess == "WINDOWS-1252" else "latin-1", "replace")
        shown = f" (as {guess} it reads {text.strip()[:60]!r})"
    return f"correct or remove this line{shown}"


def is_wide(line: bytes) -> bool:
    """Whether the first line of a file is UTF-16 without a mark, which may look like UTF-8."""
    return len(line) >= 4 and _wide_encoding(line) in ("UTF-16LE", "UTF-16BE")


def _has_cesu(line: bytes) -> bool:
    """Whether all that keeps a line from being UTF-8 is pairs of surrogates."""
    without = _SURROGATE_PAIR.sub(b"", line)
    return without != line and _is_utf8(without)


def _conversion(name: str, encoding: str, program: str = "iconv") -> str:
    """Return the command that makes UTF-8 of a file, which may be compressed."""
    convert, file = f"{program} -f {encoding} -t UTF-8", shlex.quote(name)
    packing = compression_of(Path(name))
    if packing:
        return f"{_UNPACKERS[packing]} -dc {file} | {convert} > NEW"
    return f"{convert} {file} > NEW"


def _wide_encoding(first: bytes) -> str | None:
    for mark, encoding in _MARKS.items():
        if first.startswith(mark):
            return encoding
    even, odd = first[0::2], first[1::2]
    if len(first) >= 4 and b"\0" not in even and odd.count(0) > len(odd) // 2:
        return "UTF-16LE"
    if len(first) >= 4 and b"\0" not in odd[:-1] and even.count(0) > len(even) // 2:
        return "UTF-16BE"
    return None


def _single_byte_encoding(line: bytes) -> str | None:
    """Return what a line of Latin letters would be in; None if much of it is beyond ASCII.

    In Latin scripts few letters are; where words of them are, the letters are of another script.
    """
    num_high = sum(byte >= 0x80 for byte in line)
    if num_high > sum(not chr(byte).isspace() for byte in line) // 2 or _OTHER_WORD.search(line):
        return None
    return "WINDOWS-1252" if any(0x80 <= byte < 0xA0 for byte in line) else "LATIN1"


def _mixes_utf8(line: bytes) -> bool:
    """Whether some characters of the line beyond ASCII are UTF-8."""
    kept = line.decode("utf-8", "ignore")
    return not kept.isascii()


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
