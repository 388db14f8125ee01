"""Words of a text in any script, for scores that count words in common.

A word is a run of letters, marks and digits, in lower case; a script written without spaces gives
its characters, each with its marks. For ASCII text this is what ROUGE's usual tokenizer does, which
drops every other letter.
"""

import unicodedata

__all__ = ["is_without_spaces", "split_words"]

_WITHOUT_SPACES = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x0FFF),  # Tibetan
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x19FF),  # Tai Le, New Tai Lue, Khmer symbols
    (0x1A20, 0x1AAF),  # Tai Tham
    (0x1B00, 0x1B7F),  # Balinese
    (0x2E80, 0x2FDF),  # CJK radicals
    (0x3005, 0x3007),  # ideographic marks and zero
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x3100, 0x312F),  # Bopomofo
    (0x31A0, 0x31FF),  # Bopomofo and Katakana extensions
    (0x3400, 0x4DBF),  # CJK extension A
    (0x4E00, 0x9FFF),  # CJK
    (0xA000, 0xA4CF),  # Yi
    (0xA980, 0xA9FF),  # Javanese, Myanmar extension B
    (0xAA60, 0xAADF),  # Myanmar extension A, Tai Viet
    (0xF900, 0xFAFF),  # CJK compatibility
    (0xFF66, 0xFF9F),  # half-width Katakana
    (0x20000, 0x3FFFF),  # CJK extensions B and later
)


def split_words(text: str) -> list[str]:
    """Return the words of a text, in lower case and Unicode's compatibility form (NFKC).

    Example:
        >>> split_words("It's 3 o'clock")
        ['it', 's', '3', 'o', 'clock']
    """
    words: list[str] = []
    is_open = takes_marks = False
    for character in unicodedata.normalize("NFKC", text).lower():
        kind = unicodedata.category(character)[0]
        if kind == "M":
            if takes_marks:
                words[-1] += character
            continue
        takes_marks = kind in "LN"
        stands_alone = takes_marks and is_without_spaces(character)
        if takes_marks and is_open and not stands_alone:
            words[-1] += character
        elif takes_marks:
            words.append(character)
        is_open = takes_marks and not stands_alone
    return words


def is_without_spaces(character: str) -> bool:
    """Whether a letter is of a script that puts no spaces between words."""
    code = ord(character)
    return code >= _WITHOUT_SPACES[0][0] and any(
        first <= code <= last for first, last in _WITHOUT_SPACES
    )
