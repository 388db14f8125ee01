"""fairseq's dictionary and SentencePiece model as one fast tokenizer with the ids of the weights.

fairseq numbers `<s> <pad> </s> <unk>`, then the lines of `dict.txt`; its programs append `<mask>`,
the sentinels, filler words up to a multiple of eight, and language tags, which no file names.
SentencePiece only cuts; its own ids count for nothing.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from unblank.conversion.sentencepiece import read_sentencepiece, sentencepiece_core
from unblank.conversion.vocabulary import find_vocabulary
from unblank.integrity import file_facts
from unblank.plurals import numbered
from unblank.untrusted.plain_text import read_plain_text

__all__ = [
    "MASK",
    "TokenRows",
    "build_tokenizer",
    "find_vocabulary_files",
    "name_rows",
]

_FIRST_TOKENS = ("<s>", "<pad>", "</s>", "<unk>")
MASK = "<mask>"
_SENTINELS = tuple(f"<mask_{number}>" for number in range(100))
_PADDING_MULTIPLE = 8
_CONTROL_PIECES = 3
"""Number of pieces that come first in XLM-R's SentencePiece model: <unk>, <s> and </s>."""


@dataclass(frozen=True, slots=True)
class VocabularyFiles:
    """The files that a tokenizer can be made of; None where there is none.

    Attributes:
        dictionary: fairseq's `dict.txt`.
        pieces: a SentencePiece model.
        ready: a `tokenizer.json`.
    """

    dictionary: Path | None = None
    pieces: Path | None = None
    ready: Path | None = None

    def tokens(self) -> list[str] | None:
        """Return the tokens of the first rows, or None if no file tells.

        A SentencePiece model alone is numbered as XLM-R does, one higher than its own ids.

        Raises:
            ValueError: damaged files.
        """
        if self.dictionary is not None:
            return _read_dictionary(self.dictionary)
        if self.pieces is not None:
            pieces = read_sentencepiece(self.pieces).pieces[_CONTROL_PIECES:]
            return [*_FIRST_TOKENS, *(piece for piece, _, _ in pieces)]
        return None if self.ready is None else _tokens_of_ready(self.ready)


@dataclass(frozen=True, kw_only=True)
class TokenRows:
    """What the rows of an embedding table stand for.

    Attributes:
        names: token of each known row, from row 0 on.
        tags: language tags among them.
        num_new: names at the end that the weights have no row for yet.
        evidence: how the rows after the dictionary were understood, as lines.
    """

    names: tuple[str, ...]
    tags: tuple[str, ...] = ()
    num_new: int = 0
    evidence: tuple[str, ...] = ()

    @cached_property
    def ids(self) -> dict[str, int]:
        """Row of each token."""
        return {name: row for row, name in enumerate(self.names)}

    @property
    def sentinel_ids(self) -> list[int]:
        """Rows of `<mask_0>`, `<mask_1>`, ..."""
        return [self.ids[name] for name in _SENTINELS if name in self.ids]

    @property
    def special(self) -> list[str]:
        """Tokens that no text is cut into, in the order of their rows."""
        special = {*_FIRST_TOKENS, MASK, *_SENTINELS, *self.tags}
        return [name for name in self.names if name in special]


def find_vocabulary_files(given: Path | None, beside: Path) -> VocabularyFiles:
    """Return the vocabulary files that the user gave, and those beside them or the weights.

    Args:
        given: a folder, a `tokenizer.json`, a SentencePiece model or a dictionary; None looks
            beside the weights only.
        beside: folder of the weights.

    Raises:
        FileNotFoundError: `given` does not exist or holds nothing of the kind.
        ValueError: several files could be meant.
    """
    if given is None or given.is_dir():
        found = _files_in(given or beside)
        if given is not None and found == VocabularyFiles():
            raise FileNotFoundError(
                f"{given} has no vocabulary: expected tokenizer.json, or dict.txt and spm.model"
            )
        return found
    if not given.is_file():
        raise FileNotFoundError(f"{given} does not exist: give a vocabulary file or its folder")
    if given.suffix == ".json":
        return VocabularyFiles(ready=given)
    folders = (given.parent, beside)
    if given.suffix == ".txt":
        return VocabularyFiles(given, next(filter(None, map(_pieces_in, folders)), None))
    return VocabularyFiles(next(filter(None, map(_dictionary_in, folders)), None), given)


def _files_in(folder: Path) -> VocabularyFiles:
    ready = folder / "tokenizer.json"
    return VocabularyFiles(
        _dictionary_in(folder), _pieces_in(folder), ready if ready.is_file() else None
    )


def _pieces_in(folder: Path) -> Path | None:
    found = find_vocabulary(folder) if folder.is_dir() else None
    return found.files[0] if found is not None and found.kind == "sentencepiece" else None


def _dictionary_in(folder: Path) -> Path | None:
    """Return `dict.txt`, or the one content of `dict.en.txt`, `dict.de.txt`, ..."""
    if (folder / "dict.txt").is_file():
        return folder / "dict.txt"
    files = sorted(folder.glob("dict[._]*.txt"))
    if len({path.read_bytes() for path in files}) > 1:
        names = ", ".join(path.name for path in files)
        raise ValueError(
            f"{folder} has several dictionaries ({names}): give one of them with --tokenizer"
        )
    return files[0] if files else None


def _read_dictionary(path: Path) -> list[str]:
    """Return the tokens of a fairseq dictionary in the order of their ids.

    Raises:
        ValueError: a line that is not `token count`, or a token that occurs twice.
    """
    names = list(_FIRST_TOKENS)
    known = set(names)
    # Only \n ends a line here: pieces may hold other characters that Python takes for line ends.
    for number, line in enumerate(read_plain_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        token, _, count = line.rstrip().removesuffix(" #fairseq:overwrite").rpartition(" ")
        if not token or not count.removeprefix("-").isdigit():
            raise ValueError(
                f"{path}, line {number}: expected `token count` as fairseq writes it, got "
                f"{line[:60]!r}"
            )
        if token in known:
            raise ValueError(f"{path}, line {number}: {token!r} occurs a second time")
        names.append(token)
        known.add(token)
    if len(names) == len(_FIRST_TOKENS):
        raise ValueError(f"{path} is empty: fetch it again, or leave it out")
    return names


def _tokens_of_ready(path: Path) -> list[str]:
    core = _read_ready(path)
    names = [core.id_to_token(row) or "" for row in range(core.get_vocab_size())]
    if tuple(names[: len(_FIRST_TOKENS)]) != _FIRST_TOKENS:
        raise ValueError(
            f"{path} begins with the tokens {json.dumps(names[:4], ensure_ascii=False)}: in these "
            f"models the first ones are {', '.join(_FIRST_TOKENS)}"
        )
    return names


def _read_ready(path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the tokenizers library raises bare Exception
        raise ValueError(f"{path} cannot be read: {error}") from error


def name_rows(
    dictionary: Sequence[str], num_rows: int, *, tags: Sequence[str] = (), has_mask: bool = False
) -> TokenRows:
    """Return what each row stands for.

    Behind the dictionary come `<mask>` and 100 sentinels if there are rows for them, then fillers
    if those end at a multiple of eight; further rows belong to language tags, and rows for tags
    that are left over are new.

    Args:
        dictionary: tokens of the first rows.
        num_rows: of the embedding table.
        tags: names of language tags, e.g. `__de__`.
        has_mask: the program appends `<mask>` alone, as RoBERTa's does.

    Raises:
        ValueError: more tokens than rows, or a tag that is a token already.
    """
    names, evidence = list(dictionary), [f"dictionary: {len(dictionary)} tokens, from row 0 on"]
    if len(names) > num_rows:
        raise ValueError(
            f"the dictionary has {len(names)} tokens but the embedding table has only {num_rows} "
            "rows: they do not belong together"
        )
    if MASK not in names:
        appended = (MASK, *_SENTINELS)
        if num_rows - len(names) >= len(appended):
            evidence.append(f"{MASK} is row {len(names)}, sentinels follow")
            names += appended
        elif has_mask and num_rows > len(names):
            evidence.append(f"{MASK} is row {len(names)}")
            names.append(MASK)
    missing = num_rows - len(names)
    if 0 < missing < _PADDING_MULTIPLE and num_rows % _PADDING_MULTIPLE == 0:
        taken = sum(name.startswith("madeupword") for name in names)
        names += [f"madeupword{taken + number:04d}" for number in range(missing)]
        evidence.append(f"the last {missing} rows are filler")
    if known := [tag for tag in tags if tag in names]:
        raise ValueError(
            f"language tag {known[0]!r} is already in the vocabulary: leave it out of "
            "--language-tags"
        )
    names += tags
    unnamed, num_new = max(num_rows - len(names), 0), max(len(names) - num_rows, 0)
    if unnamed:
        evidence.append(
            f"{unnamed} rows from {len(names)} on have no known token; if fine-tuning added "
            "language tags, name them in order with --language-tags"
        )
    if tags:
        evidence.append(
            f"language tags: {numbered(len(tags), 'row', first=len(names) - len(tags))}"
        )
    return TokenRows(
        names=tuple(names), tags=tuple(tags), num_new=num_new, evidence=tuple(evidence)
    )


def build_tokenizer(
    files: VocabularyFiles, rows: TokenRows
) -> tuple[PreTrainedTokenizerFast, dict[str, Any]]:
    """Return the tokenizer, every token with the number of its row, and the facts to report.

    Args:
        files: with `pieces` or `ready`.
        rows: what the weights' rows stand for.

    Raises:
        ValueError: damaged files, or a tokenizer that numbers tokens otherwise than the weights.
        ImportError: the extra `convert` is needed.
    """
    if files.pieces is not None:
        read = read_sentencepiece(files.pieces)
        core = sentencepiece_core(read, rows.names)
        facts = {"kind": "SentencePiece"}
        lost = [piece for piece, _, _ in read.pieces[_CONTROL_PIECES:] if piece not in rows.ids]
        if lost:
            facts["without row"] = (
                f"{len(lost)} pieces like {lost[0]!r} are unused: their text is split otherwise"
            )
    else:
        assert files.ready is not None
        core, facts = _read_ready(files.ready), {"kind": "tokenizer.json"}
    core.no_padding()
    core.no_truncation()
    added = dict.fromkeys((*rows.special, *rows.names[core.get_vocab_size() :]))
    core.add_special_tokens([_special(name) for name in added])
    _check_ids(core, rows)
    core.post_processor = TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", rows.ids["</s>"])]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<s>", cls_token="<s>", eos_token="</s>",
        sep_token="</s>", unk_token="<unk>", pad_token="<pad>",
        mask_token=MASK if MASK in rows.ids else None,
        clean_up_tokenization_spaces=False, model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip
    sources = [path for path in (files.pieces or files.ready, files.dictionary) if path]
    shown = (*_FIRST_TOKENS, MASK, _SENTINELS[0], _SENTINELS[-1], *rows.tags)
    return tokenizer, {
        **facts,
        "files": {path.name: file_facts(path) for path in sources},
        "size": len(rows.names),
        "ids": {name: rows.ids[name] for name in shown if name in rows.ids},
        "rows": list(rows.evidence),
    }


def _special(name: str) -> AddedToken:
    """Spaces before a mask belong to it, as in the published tokenizer of XLM-R."""
    is_mask = name == MASK or name in _SENTINELS
    return AddedToken(name, special=True, normalized=False, lstrip=is_mask)


def _check_ids(core: Tokenizer, rows: TokenRows) -> None:
    wrong = [name for name, row in rows.ids.items() if core.token_to_id(name) != row]
    if wrong:
        raise ValueError(
            f"the tokenizer gives {wrong[0]!r} the id {core.token_to_id(wrong[0])}, but its row is "
            f"{rows.ids[wrong[0]]} (such tokens: {len(wrong)}): the tokenizer does not belong to "
            "these weights"
        )
