"""Facts as a model is asked for them: a cloze with the candidates, or one for each passage.

Shapes: `C` candidates of a fact that differ in their tokens, `Z` passages.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unblank.data.length_groups import length_batches
from unblank.evaluation.fact_files import Fact
from unblank.evaluation.options import FactsOptions
from unblank.evaluation.session import Session
from unblank.generation.passages import Passage, behind_passage, log_weights, mix_passages
from unblank.generation.prompts import encode_candidate
from unblank.generation.score import Cloze
from unblank.load_balancing import padded_size
from unblank.plurals import counted
from unblank.progress_bars import counting_bar
from unblank.prompting.scoring import score_clozes
from unblank.shared_batches import compute_batches
from unblank.tokenization.encoding import encode_with_blanks
from unblank.tokenization.special import BLANK_TOKENS, MASK_TOKEN

__all__ = ["AskedFact", "ask_facts", "score_facts", "write_facts"]


@dataclass(frozen=True, slots=True)
class AskedFact:
    """A fact as the model is asked for it.

    Attributes:
        fact: the fact.
        passages: that stand before its sentence, perhaps none.
        clozes: its sentence behind each passage, or alone, all with the same candidates: those that
            differ in their tokens.
        slots: for each candidate of the fact, which of these it is.
    """

    fact: Fact
    passages: tuple[Passage, ...]
    clozes: tuple[Cloze, ...]
    slots: tuple[int, ...]

    @property
    def right(self) -> int:
        """Which candidate of the fact is the object."""
        return self.fact.candidates.index(self.fact.answer)

    @property
    def num_tokens(self) -> int:
        """Tokens of the object."""
        return len(self.clozes[0].candidates[self.slots[self.right]])

    @property
    def num_positions(self) -> int:
        """Positions of all clozes with their candidates."""
        return sum(len(one.token_ids) + sum(map(len, one.candidates)) for one in self.clozes)


def ask_facts(
    session: Session[FactsOptions],
    name: str,
    facts: Sequence[Fact],
    passages: Sequence[Sequence[Passage]],
) -> list[AskedFact]:
    """Return the facts that the model has positions for, and say how many it has not.

    Args:
        session: with the model.
        name: of the facts, for messages.
        facts: in any order.
        passages: of each; those that are too long together with the sentence are left out.

    Raises:
        ValueError: a subject that holds a blank, or every fact is too long.
    """
    known: dict[tuple[bool, bool, str], tuple[int, ...]] = {}
    asked, num_without = [], 0
    for fact, found in zip(facts, passages, strict=True):
        if sum(fact.text.count(token) for token in BLANK_TOKENS) != 1:
            raise ValueError(f"{fact.place}: the subject holds a blank: {fact.text!r}")
        one = _ask(session, fact, found, known) or _ask(session, fact, (), known)
        if one is not None:
            asked.append(one)
            num_without += len(found) - len(one.passages)
    if not asked:
        raise ValueError(f"{name}: every fact is too long for the model")
    if num_long := len(facts) - len(asked):
        session.say(
            f"{name}: left out {counted(num_long, 'fact')} of {len(facts)}: too long for the model"
        )
    if num_without:
        session.say(
            f"{name}: left out {counted(num_without, 'passage')} of {sum(map(len, passages))}: too "
            "long for the model: make the index with a smaller --passage-words"
        )
    return asked


def _ask(
    session: Session[FactsOptions],
    fact: Fact,
    passages: Sequence[Passage],
    known: dict[tuple[bool, bool, str], tuple[int, ...]],
) -> AskedFact | None:
    """Return a fact with the passages that fit; None if the sentence does not, or no passage."""
    tokenizer, special = session.tokenizer, session.special
    texts = [behind_passage(one.text, fact.text) for one in passages] or [fact.text]
    parts = texts[0].split(MASK_TOKEN)
    candidates = []
    for text in fact.candidates:
        # All that the ids of a candidate depend on.
        key = bool(parts[0].strip()), parts[0].endswith(" "), text
        if key not in known:
            known[key] = tuple(encode_candidate(tokenizer, parts, 0, text))
        candidates.append(known[key])
    unique = {ids: place for place, ids in enumerate(dict.fromkeys(candidates))}
    room = session.model.config.max_position_embeddings - max(map(len, unique))
    clozes: list[Cloze] = []
    kept: list[Passage] = []
    for number, text in enumerate(texts):
        token_ids = [*special.start, *encode_with_blanks(tokenizer, text), special.eos]
        if len(token_ids) < room:
            clozes.append(Cloze(token_ids, token_ids.index(special.mask), list(unique)))
            kept += passages[number : number + 1]
    if not clozes:
        return None
    return AskedFact(fact, tuple(kept), tuple(clozes), tuple(unique[ids] for ids in candidates))


def score_facts(
    session: Session[FactsOptions], name: str, asked: Sequence[AskedFact]
) -> list[Tensor]:
    """Return for each fact float32[C], the log-probabilities of its different candidates.

    Those of several passages are mixed; all clozes of a batch go through the model together.
    """
    scores = [torch.empty(0)] * len(asked)
    most = max(len(one.clozes) for one in asked)
    batch_size = max(1, session.options.batch_size // most)
    lengths = [one.num_positions for one in asked]
    batches = length_batches(lengths, batch_size, longest_first=True)
    costs = [padded_size([lengths[number] for number in batch]) for batch in batches]

    def scored(batch: list[int]) -> list[Tensor]:
        clozes = [cloze for number in batch for cloze in asked[number].clozes]
        found = score_clozes(session.model, session.special, clozes, layout=session.options.layout)
        of_each = iter(found)
        mixed = []
        for number in batch:
            one = asked[number]
            own = [next(of_each).cpu() for _ in one.clozes]
            mixed.append(mix_passages(own, log_weights(one.passages)) if one.passages else own[0])
        return mixed

    with torch.inference_mode(), counting_bar(name, len(asked)) as advance:
        shared = compute_batches(batches, scored, costs)
        for batch, of_batch in zip(batches, shared, strict=True):
            for number, scores_C in zip(batch, of_batch, strict=True):
                scores[number] = scores_C
            advance(len(batch))
    return scores


def write_facts(session: Session[FactsOptions], asked: Sequence[AskedFact]) -> list[str]:
    """Return what the model writes into each blank, greedily."""
    written = [""] * len(asked)
    options: dict[str, Any] = {
        "max_tokens": session.options.max_tokens,
        "batch_size": session.options.batch_size,
    }
    alone = [number for number, one in enumerate(asked) if not one.passages]
    behind = [number for number, one in enumerate(asked) if one.passages]
    found = session.unblank.fill([asked[n].fact.text for n in alone], **options)
    found += session.unblank.fill(
        [asked[n].fact.text for n in behind],
        passages=[asked[n].passages for n in behind],
        **options,
    )
    for number, result in zip([*alone, *behind], found, strict=True):
        written[number] = result.blanks[0].text
    return written
