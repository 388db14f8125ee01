"""Facts that a model knows: which object it puts first among candidates, and which it writes.

A fact is a sentence with a blank for its object (LAMA, Petroni et al. 2019). Candidates are the
objects of all facts of the relation; where several are equally likely, each counts its share.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import hypot
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from unblank.data.splits import find_split
from unblank.evaluation.fact_files import Fact, read_facts
from unblank.evaluation.options import FactsOptions
from unblank.evaluation.results import Score, SuiteResult
from unblank.evaluation.session import Session
from unblank.evaluation.suites import FactSet
from unblank.generation.prompts import encode_candidate
from unblank.generation.score import Cloze
from unblank.metrics.spread import mean_error
from unblank.metrics.words import split_words
from unblank.plurals import counted
from unblank.prompting.scoring import length_batches, score_clozes
from unblank.shared_batches import in_turns
from unblank.tokenization.encoding import encode_with_blanks
from unblank.tokenization.special import BLANK_TOKENS, MASK_TOKEN

__all__ = ["run_facts"]

AMONG, WRITTEN, BASELINE = "first of the candidates", "exactly written", "most frequent object"


@dataclass(frozen=True, slots=True)
class _Question:
    """A fact as the model is asked for it.

    Attributes:
        fact: the fact.
        cloze: its sentence, and the candidates that differ in their tokens.
        slots: for each candidate of the fact, which of these it is.
    """

    fact: Fact
    cloze: Cloze
    slots: tuple[int, ...]


def run_facts(session: Session[FactsOptions], sets: Mapping[str, FactSet]) -> Iterator[SuiteResult]:
    """Yield the accuracies on the facts of each set, relation by relation.

    Raises:
        ValueError: a file, a fact or a layout that does not fit; the message names it.
        FileNotFoundError: data that is not there.
    """
    config = session.config
    if config.layout != "blank":
        session.say(f"the model writes no answers of its own in the layout {config.layout}")
    for name, files in session.files({name: part.files for name, part in sets.items()}):
        relations = find_split(session.data_folder(), sets[name].relations, config.split)
        facts = read_facts(sets[name], files, relations, config.limit)
        yield _measure(session, name, _questions(session, name, facts))


def _questions(session: Session[FactsOptions], name: str, facts: Sequence[Fact]) -> list[_Question]:
    """Return the facts that the model has positions for, and say how many it has not."""
    tokenizer, special = session.tokenizer, session.special
    known: dict[tuple[bool, bool, str], tuple[int, ...]] = {}
    questions = []
    for fact in facts:
        if sum(fact.text.count(token) for token in BLANK_TOKENS) != 1:
            raise ValueError(f"{fact.place}: the subject holds a blank: {fact.text!r}")
        parts = fact.text.split(MASK_TOKEN)
        candidates = []
        for text in fact.candidates:
            # All that the ids of a candidate depend on.
            key = bool(parts[0].strip()), parts[0].endswith(" "), text
            if key not in known:
                known[key] = tuple(encode_candidate(tokenizer, parts, 0, text))
            candidates.append(known[key])
        unique = {ids: place for place, ids in enumerate(dict.fromkeys(candidates))}
        token_ids = [*special.start, *encode_with_blanks(tokenizer, fact.text), special.eos]
        longest = max(map(len, unique))
        if len(token_ids) + longest < session.model.config.max_position_embeddings:
            cloze = Cloze(token_ids, token_ids.index(special.mask), list(unique))
            questions.append(_Question(fact, cloze, tuple(unique[ids] for ids in candidates)))
    if not questions:
        raise ValueError(f"{name}: every fact is too long for the model")
    if num_long := len(facts) - len(questions):
        session.say(
            f"{name}: left out {counted(num_long, 'fact')} of {len(facts)}: too long for the model"
        )
    return questions


def _measure(
    session: Session[FactsOptions], name: str, questions: Sequence[_Question]
) -> SuiteResult:
    started = time.perf_counter()
    scores = _score(session, name, questions)
    points = {
        AMONG: [_share_of_first(*pair) for pair in zip(questions, scores, strict=True)],
        BASELINE: [100.0 * (one.fact.answer == one.fact.candidates[0]) for one in questions],
    }
    fills = _write(session, questions) if session.config.layout == "blank" else None
    if fills is not None:
        points[WRITTEN] = [
            100.0 * (split_words(fill) == split_words(one.fact.answer))
            for one, fill in zip(questions, fills, strict=True)
        ]
    seconds = time.perf_counter() - started
    relations: dict[str, list[int]] = defaultdict(list)
    for number, one in enumerate(questions):
        relations[one.fact.relation].append(number)
    rows = [
        _row(title, metric, [[values[i] for i in chosen]], seconds)
        for title, chosen in relations.items()
        for metric, values in points.items()
    ]
    rows += [
        _row(name, metric, [[values[i] for i in chosen] for chosen in relations.values()], seconds)
        for metric, values in points.items()
    ]
    lines: list[dict[str, Any]] = [
        {
            "task": one.fact.relation,
            "place": one.fact.place,
            "text": one.fact.text,
            "answer": one.fact.answer,
            "prediction": one.fact.candidates[one.slots.index(int(scores_C.argmax()))],
            "points": points[AMONG][number] / 100,
            "written": fills and fills[number],
        }
        for number, (one, scores_C) in enumerate(zip(questions, scores, strict=True))
    ]
    return SuiteResult(rows, lines)


def _score(
    session: Session[FactsOptions], name: str, questions: Sequence[_Question]
) -> list[Tensor]:
    """Return for each question float32[C], the log-probabilities of its different candidates."""
    scores = [torch.empty(0)] * len(questions)
    lengths = [len(one.cloze.token_ids) + sum(map(len, one.cloze.candidates)) for one in questions]
    batches = list(length_batches(lengths, session.config.batch_size))

    def scored(batch: list[int]) -> list[Tensor]:
        clozes = [questions[number].cloze for number in batch]
        found = score_clozes(session.model, session.special, clozes, layout=session.config.layout)
        return [scores_C.cpu() for scores_C in found]

    with torch.inference_mode(), session.bar(name, len(questions)) as advance:
        for batch, of_batch in zip(batches, in_turns(batches, scored), strict=True):
            for number, scores_C in zip(batch, of_batch, strict=True):
                scores[number] = scores_C
            advance(len(batch))
    return scores


def _share_of_first(question: _Question, scores_C: Tensor) -> float:
    """Return 100 if the answer alone has the highest score, a share of it for a tie, else 0."""
    best = float(scores_C.max())
    is_first = [float(scores_C[slot]) == best for slot in question.slots]
    return 100.0 * is_first[question.fact.candidates.index(question.fact.answer)] / sum(is_first)


def _write(session: Session[FactsOptions], questions: Sequence[_Question]) -> list[str]:
    """Return what the model writes into each blank, greedily."""
    filled = session.unblank.fill(
        [one.fact.text for one in questions],
        batch_size=session.config.batch_size,
        max_tokens=session.config.max_tokens,
    )
    return [result.blanks[0].text for result in filled]


def _row(task: str, metric: str, relations: Sequence[Sequence[float]], seconds: float) -> Score:
    """Return the mean over relations of the mean over facts."""
    errors = [mean_error(points) for points in relations]
    known = [error for error in errors if error is not None]
    return Score(
        task=task,
        metric=metric,
        value=fmean(map(fmean, relations)),
        count=sum(map(len, relations)),
        standard_error=hypot(*known) / len(known) if len(known) == len(errors) else None,
        seconds=seconds,
        details={"relations": len(relations)},
    )
