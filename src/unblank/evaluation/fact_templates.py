"""Sentences of relations with the marks of X-FACTR, as plain text with one `[X]` and one `[Y]`.

The marks ask for cases, articles and forms that agree with a name (Jiang et al. 2020,
https://arxiv.org/abs/2010.06189). Nothing here knows the gender or the cases of names, so a name
stays as it is, an article is left out, and of several forms the first is taken.
"""

import re

__all__ = ["OBJECT", "SUBJECT", "plain_template"]

SUBJECT, OBJECT = "[X]", "[Y]"

_NAME = re.compile(r"\[([XY])(?:\.[^\];]*|;[^\]]*)?\]")
_ARTICLE = re.compile(r"\[[A-Z][^\];|=]*;[XY][^\]|=]*\]\s*")
_FORMS = re.compile(r"\[([^\]\[|;]*);[XY]-[^\]]*\]")
_KINDS = re.compile(r"\[[^\]\[:;]+:([^\]\[;]*);[^\]]*\]")


def plain_template(template: str) -> str:
    """Return a sentence with `[X]` for the subject and `[Y]` for the object, without other marks.

    Args:
        template: with each of the two once, perhaps with marks.

    Raises:
        ValueError: one of the two is missing, or stands there twice.

    Example:
        >>> plain_template("[X] est [né;X-Gender=MASC|née;X-Gender=FEM] [PREPLOC;Y] [Y] .")
        '[X] est né [Y].'
        >>> plain_template("[X.Nom] находится в [Y.Ess] .")
        '[X] находится в [Y].'
    """
    plain = _NAME.sub(lambda match: f"[{match[1]}]", template)
    plain = _ARTICLE.sub("", plain)
    plain = _FORMS.sub(lambda match: match[1], plain)
    plain = " ".join(_KINDS.sub(lambda match: match[1].strip(), plain).split())
    for slot in (SUBJECT, OBJECT):
        if plain.count(slot) != 1:
            raise ValueError(f"the template {template!r} needs {slot} once")
    return f"{plain[:-2]}." if plain.endswith(" .") else plain
