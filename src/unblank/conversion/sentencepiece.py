"""A SentencePiece model as a core of the tokenizers library, giving the same pieces and ids.

Covers Unigram and BPE models with their own normalisation table. Command tokens that a family puts
behind the pieces are its own business.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from unblank.conversion.normalization import charsmap_normalizers
from unblank.extras import optional_package
from unblank.untrusted.lfs_pointer import refuse_pointer

__all__ = ["read_sentencepiece", "sentencepiece_core"]

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
"""Types of pieces in the file."""
UNIGRAM, BPE = 1, 2
_UNKNOWN_PENALTY = 10.0
"""By how much SentencePiece scores an unknown character below the worst piece."""
_WORD_START = "\u2581"


@dataclass(frozen=True, slots=True)
class SentencePieces:
    """What a SentencePiece file says.

    Attributes:
        pieces: string, score and type of each id.
        is_bpe: whether pieces are merged by rank, else Unigram.
        normalization: the compiled table of replaced characters; empty if there is none.
        adds_prefix: text begins with a space.
        strips_spaces: spaces at the ends go, and several in a row become one.
        unknown_text: how an unknown piece is shown.
        has_bytes: unknown characters are spelt as bytes.
    """

    pieces: list[tuple[str, float, int]]
    is_bpe: bool
    normalization: bytes
    adds_prefix: bool
    strips_spaces: bool
    unknown_text: str
    has_bytes: bool

    @property
    def unknown_id(self) -> int:
        """Id of the piece for unknown characters."""
        return next(i for i, (_, _, kind) in enumerate(self.pieces) if kind == UNKNOWN)


def read_sentencepiece(path: Path) -> SentencePieces:
    """Return the content of a SentencePiece `.model` file.

    Raises:
        ImportError: the extra `convert` is not installed.
        ValueError: damaged, or of a kind other than Unigram and BPE.
    """
    model = _parse(path)
    if model.trainer_spec.model_type not in (UNIGRAM, BPE):
        raise ValueError(f"{path} is a word or character model: only Unigram and BPE are supported")
    if not any(piece.type == UNKNOWN for piece in model.pieces):
        raise ValueError(
            f"{path} is damaged, or not a SentencePiece model: it has no unknown piece"
        )
    return SentencePieces(
        pieces=[(piece.piece, piece.score, piece.type) for piece in model.pieces],
        is_bpe=model.trainer_spec.model_type == BPE,
        normalization=model.normalizer_spec.precompiled_charsmap,
        adds_prefix=model.normalizer_spec.add_dummy_prefix,
        strips_spaces=model.normalizer_spec.remove_extra_whitespaces,
        unknown_text=model.trainer_spec.unk_surface,
        has_bytes=model.trainer_spec.byte_fallback,
    )


def sentencepiece_core(
    read: SentencePieces,
    strings: Sequence[str] | None = None,
    commands: Sequence[str] = (),
) -> Tokenizer:
    """Return a core that cuts text as the SentencePiece model does.

    Args:
        read: from `read_sentencepiece`.
        strings: the token of each id, where a family orders the pieces in its own way; None keeps
            the ids of the model. What the model does not know is never cut out of text.
        commands: tokens that stand between texts; the text behind each is decoded as a text of its
            own, without the space that every text begins with. They are not added here.
    """
    vocabulary = _scored(read, strings)
    core = Tokenizer(_bpe(read, vocabulary) if read.is_bpe else _unigram(read, vocabulary))
    core.normalizer = normalizers.Sequence(_normalizers(read))
    crosses_words = any(_WORD_START in piece[1:] for piece, _, _ in read.pieces)
    metaspace = pre_tokenizers.Metaspace(
        prepend_scheme="always" if read.adds_prefix else "never", split=not crosses_words
    )
    defined = [re.escape(piece) for piece, _, kind in read.pieces if kind == USER_DEFINED]
    if read.is_bpe and defined:
        isolate = pre_tokenizers.Split(Regex("|".join(defined)), "isolated")
        core.pre_tokenizer = pre_tokenizers.Sequence([metaspace, isolate])
    else:
        core.pre_tokenizer = metaspace
    core.decoder = decoders.Sequence(_decoders(read, commands))
    return core


def _scored(read: SentencePieces, strings: Sequence[str] | None) -> list[tuple[str, float]]:
    """Return string and score of each id; text of known characters never holds a control piece."""
    scores = {piece: score for piece, score, kind in read.pieces if kind in (NORMAL, BYTE)}
    lowest, highest = min(scores.values()), max(scores.values())
    for piece, _, kind in read.pieces:
        if kind == USER_DEFINED:  # the library's bonus, by which such a piece always wins
            scores[piece] = len(piece) * highest - 0.1
    names = [piece for piece, _, _ in read.pieces] if strings is None else strings
    never = lowest - _UNKNOWN_PENALTY
    return [(name, scores.get(name, len(name) * never - 1)) for name in names]


def _unigram(read: SentencePieces, vocabulary: list[tuple[str, float]]) -> models.Unigram:
    unknown = read.pieces[read.unknown_id][0]
    position = [name for name, _ in vocabulary].index(unknown)
    return models.Unigram(vocabulary, position, read.has_bytes)


def _bpe(read: SentencePieces, vocabulary: list[tuple[str, float]]) -> models.BPE:
    from transformers.convert_slow_tokenizer import generate_merges

    ids = {name: token_id for token_id, (name, _) in enumerate(vocabulary)}
    normal = {piece: score for piece, score, kind in read.pieces if kind == NORMAL}
    others = {name for name in ids if name not in normal}
    return models.BPE(
        vocab=ids,
        merges=generate_merges(ids, {n: s for n, s in normal.items() if n in ids}, others),
        unk_token=read.pieces[read.unknown_id][0],
        fuse_unk=True,
        byte_fallback=read.has_bytes,
        # A user-defined piece is isolated before and must not be taken apart.
        ignore_merges=any(kind == USER_DEFINED for _, _, kind in read.pieces),
    )


def _normalizers(read: SentencePieces) -> list[normalizers.Normalizer]:
    steps = charsmap_normalizers(read.normalization)
    if read.strips_spaces:
        steps += [normalizers.Replace(Regex(" {2,}"), " "), normalizers.Strip()]
    return steps


def _decoders(read: SentencePieces, commands: Sequence[str]) -> list[decoders.Decoder]:
    steps: list[decoders.Decoder] = [decoders.ByteFallback()] if read.has_bytes else []
    steps.append(decoders.Replace(read.pieces[read.unknown_id][0], read.unknown_text))
    steps += [decoders.Replace(_WORD_START, " "), decoders.Fuse()]
    if read.adds_prefix:
        behind = "|".join(["^", *(f"(?<={re.escape(command)})" for command in commands)])
        steps.append(decoders.Replace(Regex(f"(?:{behind}) "), ""))
    return steps


def _parse(path: Path) -> Any:
    refuse_pointer(path)
    purpose = f"reading {path}, a SentencePiece model,"
    decode_error = optional_package("google.protobuf.message", purpose).DecodeError
    model = optional_package("sentencepiece.sentencepiece_model_pb2", purpose).ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except decode_error as error:
        raise ValueError(f"{path} is damaged, or not a SentencePiece model") from error
    return model
