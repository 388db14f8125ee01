"""Train a tokenizer for blank infilling: WordPiece, Unigram or byte-level BPE.

The `tokenizers` library learns; here its results are made repeatable (the same corpus gives the
same bytes), the special tokens get the same first ids in every kind, and text can never spell one.
The alphabet is counted in a pass of its own where the library's would depend on chance.
"""

import json
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.progress import Progress
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)
from transformers import PreTrainedTokenizerFast

from unblank.progress_bars import progress_bar, track
from unblank.settings.ranges import check_count
from unblank.tokenization.encoding import encode_texts
from unblank.tokenization.kinds import TextNormalization, TokenizerKind
from unblank.tokenization.long_words import with_words_divided
from unblank.tokenization.special import (
    BLANK_TOKENS,
    SPECIAL_TOKENS,
    UNK_TOKEN,
    require_special_names,
    sentinel_token,
    special_ids,
)
from unblank.tokenization.wrapping import with_special_roles
from unblank.unicode import require_unicode

__all__ = ["train_tokenizer"]

_MIN_PIECES: dict[TokenizerKind, int] = {"wordpiece": 256, "bpe": 256, "unigram": 512}
"""Smallest number of tokens besides the special ones (bpe, unigram: 256 are the bytes)."""

_ASCII = [chr(code) for code in range(33, 127)]

_NEVER = -1e4
"""Log-probability of a Unigram piece that is used only if its characters are unknown."""

_FORMS: dict[TextNormalization, tuple[type[normalizers.Normalizer], ...]] = {
    "nfc": (normalizers.NFC,),
    "nfkc": (normalizers.NFKC,),
    "none": (),
}


@dataclass(frozen=True, slots=True)
class _Form:
    """What becomes of text before it is cut."""

    lowercase: bool
    normalization: TextNormalization

    def unicode(self) -> list[normalizers.Normalizer]:
        return [form() for form in _FORMS[self.normalization]]

    def steps(self) -> list[normalizers.Normalizer]:
        return [*self.unicode(), *([normalizers.Lowercase()] if self.lowercase else [])]


def train_tokenizer(
    texts: Iterable[str],
    *,
    kind: TokenizerKind,
    vocab_size: int,
    lowercase: bool = False,
    normalization: TextNormalization = "nfc",
    num_sentinels: int = 0,
    extra_tokens: Sequence[str] = (),
    show_progress: bool = True,
) -> PreTrainedTokenizerFast:
    """Return a tokenizer trained on the texts; `save_pretrained` makes it a folder.

    Args:
        texts: documents. Iterated over more than once; an iterator that can be used up is first
            read into memory.
        kind: "wordpiece", "unigram" or "bpe".
        vocab_size: number of tokens, special ones included.
        lowercase: turn text to lower case (wordpiece: and drop accents).
        normalization: the form of Unicode into which text is brought: "nfc", in which equal
            characters are equal bytes and nothing is lost, "nfkc", in which characters that look
            alike are one (full-width letters, ligatures), or "none".
        num_sentinels: number of tokens `[MASK1]`, `[MASK2]`, ... to add.
        extra_tokens: further special tokens.
        show_progress: show bars on the error stream.

    Returns:
        A tokenizer that `unblank.tokenization.special_ids` understands. With a small corpus it may
        hold fewer tokens than asked for; a warning gives the number.

    Raises:
        ValueError: if the kind is unknown, there is no text, the vocabulary is too small, or an
            extra token is one that text could spell, or a text holds a lone surrogate.
    """
    if normalization not in _FORMS:
        raise ValueError(
            f"unknown normalization {normalization!r}: choose one of {', '.join(_FORMS)}"
        )
    if kind not in _TRAINERS:
        raise ValueError(
            f"unknown kind of tokenizer {kind!r}: choose one of {', '.join(_TRAINERS)}"
        )
    vocab_size = check_count(vocab_size, "vocab_size")
    num_sentinels = check_count(num_sentinels, "num_sentinels", low=0)
    specials = _special_tokens(num_sentinels, extra_tokens)
    smallest = len(specials) + _MIN_PIECES[kind]
    if vocab_size < smallest:
        raise ValueError(
            f"vocab_size is {vocab_size}: a {kind} vocabulary with {len(specials)} special tokens "
            f"needs at least {smallest}"
        )
    corpus = list(texts) if iter(texts) is texts else texts
    if not any(text.strip() for text in corpus):
        shown = getattr(corpus, "shown_paths", "")  # files say where the text should have been
        where = f" in {shown}" if shown else ""
        raise ValueError(
            f"there is no text to train a tokenizer on{where}: nothing but white space"
        )
    with progress_bar(show=show_progress) as progress:
        try:
            form = _Form(lowercase, normalization)
            core = _TRAINERS[kind](corpus, vocab_size, form, specials, progress)
        except UnicodeEncodeError as error:
            require_unicode(error.object, "a document of the training text")
            raise
    if core.get_vocab_size() < vocab_size:
        warnings.warn(
            f"the text is too small for {vocab_size} tokens: the vocabulary has "
            f"{core.get_vocab_size()}",
            stacklevel=2,
        )
    tokenizer = with_special_roles(core)
    _check_not_spelt(tokenizer, [token.content for token in specials])
    return tokenizer


def _special_tokens(num_sentinels: int, extra_tokens: Sequence[str]) -> list[AddedToken]:
    names = list(dict.fromkeys(SPECIAL_TOKENS.values()))
    names += [sentinel_token(number) for number in range(1, num_sentinels + 1)]
    names += extra_tokens
    require_special_names(names)
    # The space before a blank belongs to the answer, as in the published vocabularies.
    return [
        AddedToken(name, special=True, normalized=False, lstrip=name in BLANK_TOKENS)
        for name in names
    ]


def _wordpiece(
    texts: Iterable[str],
    vocab_size: int,
    form: _Form,
    specials: list[AddedToken],
    progress: Progress,
) -> Tokenizer:
    core = Tokenizer(models.WordPiece(unk_token=UNK_TOKEN))
    core.normalizer = _wordpiece_normalizer(form)
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.decoder = decoders.WordPiece(prefix="##")
    ascii_kept = [char for char in _ASCII if core.normalizer.normalize_str(char) == char]
    counts = _count_characters(core, texts, progress)
    alphabet = sorted({*ascii_kept, *_most_common(counts, vocab_size // 4)})
    # Given in advance, the pieces "##x" have fixed ids; found by the trainer, they are numbered
    # in the chance order of a hash map, and so are the merges that tie.
    inner = ["##" + char for char in alphabet if _can_be_inside_word(core, char)]
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        special_tokens=[*specials, *inner],
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    core.train_from_iterator(_fed(texts, progress), trainer)
    vocabulary = json.loads(core.to_str())["model"]["vocab"]
    return _with_model(core, models.WordPiece(vocab=vocabulary, unk_token=UNK_TOKEN), specials)


def _wordpiece_normalizer(form: _Form) -> normalizers.Normalizer:
    if form.lowercase:  # as the published uncased vocabularies of BERT and GLM do
        uncased = normalizers.BertNormalizer(lowercase=True)
        is_usual = form.normalization == "nfc"  # which dropping the accents comes down to
        return uncased if is_usual else normalizers.Sequence([*form.unicode(), uncased])
    # Not `clean_text`: it drops the joiners that Persian and the scripts of India are spelt with.
    divided = normalizers.BertNormalizer(clean_text=False, strip_accents=False, lowercase=False)
    return normalizers.Sequence([*form.unicode(), divided])


def _bpe(
    texts: Iterable[str],
    vocab_size: int,
    form: _Form,
    specials: list[AddedToken],
    progress: Progress,
) -> Tokenizer:
    core = Tokenizer(models.BPE())
    core.normalizer = normalizers.Sequence(form.steps())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(_fed(texts, progress), trainer)
    return core


def _unigram(
    texts: Iterable[str],
    vocab_size: int,
    form: _Form,
    specials: list[AddedToken],
    progress: Progress,
) -> Tokenizer:
    core = Tokenizer(models.Unigram())
    core.normalizer = _unigram_normalizer(form)
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    core.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="first")]
    )
    fixed = [token.content for token in specials] + [f"<0x{byte:02X}>" for byte in range(256)]
    room = vocab_size - len(fixed)
    counts = _count_characters(core, texts, progress)
    known = {*_ASCII, *"".join(fixed), *_most_common(counts, room // 3)}
    rare = {ord(char): " " for char in counts if char not in known}
    trainer = trainers.UnigramTrainer(
        vocab_size=room, special_tokens=[], initial_alphabet=sorted(known), show_progress=False
    )
    # Its own, as the trainer locks the tokenizer while it asks for the next text.
    normalizer = _unigram_normalizer(form)
    corpus = (normalizer.normalize_str(text).translate(rare) for text in texts) if rare else texts
    core.train_from_iterator(_fed(corpus, progress), trainer)
    learnt = json.loads(core.to_str())["model"]["vocab"]
    pieces = _repeatable(learnt)
    vocabulary = [(name, _NEVER) for name in fixed] + pieces
    unk_id = [token.content for token in specials].index(UNK_TOKEN)
    return _with_model(core, models.Unigram(vocabulary, unk_id, True), specials)


def _unigram_normalizer(form: _Form) -> normalizers.Normalizer:
    one_space = normalizers.Replace(Regex(r"\s+"), " ")
    return normalizers.Sequence([*form.steps(), one_space])


def _repeatable(learnt: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """Take from the scores what differs from run to run.

    Sums over threads differ in their last bits. Characters that must be kept but did not earn
    their place get, in the chance order of a hash map, the lowest score plus 0, 1, 2, ... times
    1e-4: here all that lie in that range share the lowest.
    """
    singles = [score for piece, score in learnt if len(piece) == 1]
    lowest = min(singles)
    earned = lowest + 1e-4 * len(singles)
    pieces = [
        (piece, round(lowest if len(piece) == 1 and score < earned else score, 6))
        for piece, score in learnt
    ]
    return sorted(pieces, key=lambda piece: (-piece[1], piece[0]))


_Trainer = Callable[[Iterable[str], int, _Form, list[AddedToken], Progress], Tokenizer]

_TRAINERS: dict[TokenizerKind, _Trainer] = {
    "wordpiece": _wordpiece,
    "unigram": _unigram,
    "bpe": _bpe,
}


def _fed(texts: Iterable[str], progress: Progress) -> Iterator[str]:
    yield from with_words_divided(track(texts, progress, "reading text"))
    progress.add_task("learning the vocabulary", total=None)


def _count_characters(core: Tokenizer, texts: Iterable[str], progress: Progress) -> Counter[str]:
    counts: Counter[str] = Counter()
    for text in track(texts, progress, "counting characters"):
        counts.update(core.normalizer.normalize_str(text))
    return Counter({char: count for char, count in counts.items() if not char.isspace()})


def _most_common(counts: Counter[str], limit: int) -> list[str]:
    """Return the most frequent characters; of equally frequent ones, the lower code point."""
    return sorted(counts, key=lambda char: (-counts[char], char))[: max(limit, 0)]


def _can_be_inside_word(core: Tokenizer, char: str) -> bool:
    return len(core.pre_tokenizer.pre_tokenize_str(f"a{char}a")) == 1


def _with_model(core: Tokenizer, model: models.Model, specials: list[AddedToken]) -> Tokenizer:
    complete = Tokenizer(model)
    complete.normalizer = core.normalizer
    complete.pre_tokenizer = core.pre_tokenizer
    complete.decoder = core.decoder
    complete.add_special_tokens(specials)
    return complete


def _check_not_spelt(tokenizer: PreTrainedTokenizerFast, names: Sequence[str]) -> None:
    unk = special_ids(tokenizer).unk
    encoded = encode_texts(tokenizer, names, warn_on_unknown=False)
    for name, ids in zip(names, encoded, strict=True):
        own = tokenizer.convert_tokens_to_ids(name)
        if own in ids and own != unk:
            raise ValueError(
                f"special token {name!r} could also occur in plain text: write it with brackets, "
                f"for example '[{name}]'"
            )
