"""Answers that rest on passages: p(y|x) = sum over passages z of p(z|x) p(y|x, z).

A passage stands before the text, and what p(z|x) is, the caller's retriever says (REALM, Guu et al.
2020, https://arxiv.org/abs/2002.08909, eq. 1; for written answers RAG-Sequence with thorough
decoding, Lewis et al. 2020, https://arxiv.org/abs/2005.11401, section 2.5). All passages of a text
go through the model in one forward.

Shapes: `Z` passages of a text, `C` candidates.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from unblank.generation.decode import decode_in_batches
from unblank.generation.infill import Filler
from unblank.generation.options import DecodingOptions
from unblank.generation.pieces import Filling, Piece
from unblank.generation.prompts import BlankedText
from unblank.generation.results import FillResult
from unblank.generation.rows import Prompt
from unblank.generation.score import Cloze, score_batch
from unblank.generation.setup import DecoderSetup
from unblank.tokenization.special import BLANK_TOKENS
from unblank.unicode import require_unicode

__all__ = [
    "Passage",
    "behind_passage",
    "fill_with_passages",
    "join_passages",
    "log_weights",
    "mix_passages",
    "passages_of_each",
    "read_with_passages",
    "require_one_blank",
    "require_plain_search",
]


@dataclass(frozen=True, slots=True)
class Passage:
    """A text that may help, and how well it fits.

    Attributes:
        text: without blanks.
        score: of a retriever; the shares p(z|x) are the softmax of those of all passages.
        place: where it comes from, for people.
    """

    text: str
    score: float = 0.0
    place: str = ""


@dataclass(frozen=True, slots=True)
class AskedWithPassages:
    """A text to be filled with the help of passages.

    Attributes:
        blanked: the text by itself.
        prompts: the text behind each passage.
        passages: in the same order.
    """

    blanked: BlankedText
    prompts: list[Prompt]
    passages: list[Passage]


def passages_of_each(
    text: str | Sequence[str], given: Sequence[str | Passage] | Sequence[Sequence[str | Passage]]
) -> list[list[Passage]]:
    """Return the passages of each text; one by itself has score 0, so that texts have equal shares.

    Args:
        text: one text, or several.
        given: its passages, or a list of them for each text.

    Raises:
        ValueError: not a list for each text; no passage, an empty one, one with a blank, or a score
            that is no finite number.
        TypeError: something else than a text or a passage.
    """
    lists: Any = [given] if isinstance(text, str) else given
    num_texts = 1 if isinstance(text, str) else len(text)
    if isinstance(lists, str) or not isinstance(lists, Sequence) or len(lists) != num_texts:
        raise ValueError(
            "passages must be a list of texts for one text, and a list of such lists for a list of "
            "texts"
        )
    return [_read_passages(one) for one in lists]


def _read_passages(given: object) -> list[Passage]:
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise TypeError(f"passages must be a list of texts, got {given!r}"[:200])
    if not given:
        raise ValueError("a text has no passages: give at least one, or leave them out")
    return [_read_passage(number, one) for number, one in enumerate(given)]


def _read_passage(number: int, given: object) -> Passage:
    one = given if isinstance(given, Passage) else Passage(given)  # type: ignore[arg-type]
    require_unicode(one.text, f"passage {number}")
    if not one.text.strip():
        raise ValueError(f"passage {number} is empty: leave it out")
    if any(token in one.text for token in BLANK_TOKENS):
        raise ValueError(f"passage {number} holds a blank: give plain text")
    if not isfinite(one.score):
        raise ValueError(f"passage {number} has the score {one.score}: give a finite number")
    return one


def behind_passage(passage: str, text: str) -> str:
    """Return a text with a passage before it."""
    return f"{passage.strip()} {text.lstrip()}"


def require_one_blank(text: str) -> None:
    """Raise ValueError if a text has several blanks, which passages cannot fill together."""
    num_blanks = sum(text.count(token) for token in BLANK_TOKENS)
    if num_blanks > 1:
        raise ValueError(f"{text[:60]!r} has {num_blanks} blanks: with passages a text has one")


def require_plain_search(options: DecodingOptions) -> None:
    """Raise ValueError for what has no meaning over several passages."""
    if options.do_sample or options.length_penalty:
        name = "do_sample" if options.do_sample else "length_penalty"
        raise ValueError(f"{name} cannot be combined with passages: leave it out")


def log_weights(passages: Sequence[Passage]) -> Tensor:
    """Return float32[Z], log p(z|x): the log-softmax of the scores."""
    return torch.log_softmax(torch.tensor([one.score for one in passages]), dim=0)


def mix_passages(scores: Sequence[Tensor], log_weights_Z: Tensor) -> Tensor:
    """Return float32[C], the log-probabilities of candidates over all passages.

    Args:
        scores: float32[C] for each passage, log p(y|x, z) of the same candidates.
        log_weights_Z: log p(z|x).

    Example:
        >>> halves = torch.tensor([0.5, 0.5]).log()
        >>> mix_passages([torch.tensor([0.2]).log(), torch.tensor([0.4]).log()], halves).exp()
        tensor([0.3000])
    """
    scores_ZC = torch.stack(list(scores))
    return (scores_ZC + log_weights_Z.to(scores_ZC.device)[:, None]).logsumexp(dim=0)


def fill_with_passages(
    filler: Filler,
    text: str,
    passages: Sequence[Passage],
    *,
    end_id: int,
    order: Sequence[int] | None = None,
    batch_size: int = 16,
) -> FillResult:
    """Return a text with its blank filled: the best of what the passages lead to, over all of them.

    Each passage has its own search; every answer found is then scored with every passage. Likely
    tokens in the place of others are not reported.

    Args:
        filler: by greedy decoding or beam search, without a calibration.
        text: with one blank.
        passages: at least one.
        end_id: the token that ends an answer.
        order: of the blank, which is 0 or left out.
        batch_size: passages decoded together.

    Raises:
        ValueError: not one blank, sampling, a length penalty, or a passage that is too long with
            the text.
    """
    asked = read_with_passages(filler, text, passages, order)
    batches = decode_in_batches(filler.setup, asked.prompts, batch_size)
    found = [filling for batch in batches for _, fillings in batch for filling in fillings]
    joined = join_passages(filler.setup, asked, found, end_id=end_id)
    return filler.result(asked.blanked, joined)


def read_with_passages(
    filler: Filler,
    text: str,
    passages: Sequence[Passage],
    order: Sequence[int] | None = None,
) -> AskedWithPassages:
    """Return a text behind each of its passages, ready to be decoded; as for `fill_with_passages`.

    Raises:
        ValueError: not one blank, sampling, a length penalty, or a passage that is too long with
            the text.
    """
    require_plain_search(filler.setup.options)
    blanked = filler.read(text, order)
    require_one_blank(text)
    prompts = [filler.read(behind_passage(one.text, text)).prompt for one in passages]
    return AskedWithPassages(blanked, prompts, list(passages))


def join_passages(
    setup: DecoderSetup, asked: AskedWithPassages, found: Sequence[Filling], *, end_id: int
) -> list[Filling]:
    """Return the best of what was found for a text, scored over all its passages.

    Args:
        setup: how it was found.
        asked: the text with its passages.
        found: what the prompts of all passages led to.
        end_id: the token that ends an answer.
    """
    options, prompts, passages = setup.options, asked.prompts, asked.passages
    answers: dict[tuple[int, ...], None] = {}  # each once
    for piece in (piece for one in found for piece in one.pieces):
        answers[(*piece.token_ids, *[end_id] * piece.is_finished)] = None
    prefixes = list(dict.fromkeys(ids[:end] for ids in answers for end in range(1, len(ids) + 1)))
    clozes = [Cloze(prompt.token_ids, prompt.blanks[0], prefixes) for prompt in prompts]
    with torch.inference_mode():
        scores = score_batch(
            setup.model,
            clozes,
            sop_id=setup.start_id,
            end_id=None,
            context=options.context,
        )
    totals = mix_passages(scores, log_weights(passages)).tolist()
    so_far = dict(zip(prefixes, totals, strict=True)) | {(): 0.0}
    fillings = [Filling([_piece(ids, so_far, end_id)]) for ids in answers]
    fillings.sort(key=lambda one: -one.log_probability)
    return fillings[: options.num_return]


def _piece(ids: tuple[int, ...], so_far: dict[tuple[int, ...], float], end_id: int) -> Piece:
    """Return an answer with the log-probability of each token over all passages, after its past."""
    steps = [so_far[ids[: end + 1]] - so_far[ids[:end]] for end in range(len(ids))]
    is_finished = ids[-1:] == (end_id,)
    token_ids = list(ids[: len(ids) - is_finished])
    return Piece(
        token_ids=token_ids,
        log_probabilities=steps[: len(token_ids)],
        alternatives=[[] for _ in token_ids],
        end_log_probability=steps[-1] if is_finished else None,
    )
