"""WikiText's tokenized text as ordinary text, as models have learned to read it."""

import re

__all__ = ["detokenize"]

_RULES = (
    (re.compile(r" @([-,.])@ "), r"\1"),
    (re.compile(r" ([.,;:!?%)\]}])"), r"\1"),
    (re.compile(r"([(\[{$\u00a3\u20ac]) "), r"\1"),
    (re.compile(r" ('(?:s|re|ve|ll|d|m)\b|n't\b)"), r"\1"),
    (re.compile(r'" ([^"\n]*?) "'), r'"\1"'),
    (re.compile(r"(\w) ' (?=s\b)"), r"\1'"),
    (re.compile(r"= (?==)"), "="),
)


def detokenize(text: str) -> str:
    r"""Return WikiText without the spaces that its tokenization put around signs.

    Example:
        >>> detokenize(' = Owls = \n It weighed 1 @,@ 250 g ( 2 @.@ 8 lb ) , they said .')
        ' = Owls = \n It weighed 1,250 g (2.8 lb), they said.'
    """
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text
