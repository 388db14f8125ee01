"""Scores of labels: every candidate of an example in one forward over its filled pattern.

A label's score is the log-probability of its words, of several ways to say it the log of their
sum. Scores carry gradients, so that fine-tuning uses the same functions.

Shapes: `L` labels or candidates of an example.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from unblank.data.length_groups import length_batches
from unblank.generation.priors import Prior, without_prior
from unblank.generation.prompts import encode_candidate
from unblank.generation.score import Cloze, score_batch
from unblank.load_balancing import padded_size
from unblank.progress_bars import counting_bar
from unblank.prompting.asking import AS_IT_STANDS, Asking, without_content
from unblank.prompting.examples import TaskExample
from unblank.prompting.masked_scoring import score_masked
from unblank.prompting.patterns import FilledPattern, fill_pattern, fit_pattern
from unblank.prompting.task import ClozeTask, Scoring, TaskPattern
from unblank.prompting.yaml_lines import at_line
from unblank.settings.choices import Layout, Normalization
from unblank.settings.ranges import check_count
from unblank.shared_batches import compute_batches
from unblank.tokenization.special import SpecialIds, special_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = [
    "ClozePrompt",
    "encode_example",
    "normalized",
    "score_clozes",
    "score_examples",
    "score_prompts",
    "start_of_answer",
    "with_sentinel",
]


_CONTENT_FREE: dict[Prior, tuple[str, ...]] = {"pmi": ("",), "contextual": ("", "N/A")}
"""What fields hold where a prompt is asked without content. Zhao and others also take `[MASK]`,
which here is a blank."""


@dataclass(frozen=True, slots=True)
class ClozePrompt:
    """An example as the model sees it.

    Attributes:
        cloze: Part A, its blank, and the different candidates.
        slots: for each label, which of these candidates say it.
        filled: the pattern with the values.
        scoring: how its candidates are compared.
    """

    cloze: Cloze
    slots: tuple[tuple[int, ...], ...]
    filled: FilledPattern
    scoring: Scoring

    @property
    def num_positions(self) -> int:
        """Positions of Part A and of the candidates, shared beginnings counted again."""
        return len(self.cloze.token_ids) + 1 + sum(map(len, self.cloze.candidates))


def encode_example(
    tokenizer: "PreTrainedTokenizerFast",
    task: ClozeTask,
    example: TaskExample,
    pattern: TaskPattern,
    *,
    max_length: int,
) -> ClozePrompt:
    """Return an example in one of the task's patterns.

    A task that compares the logits of single tokens falls back on the sum of log-probabilities
    where the vocabulary cuts a word; `ClozePrompt.scoring` says so.

    Args:
        tokenizer: of the model.
        task: says which field gives way.
        example: one of its examples.
        pattern: one of its patterns.
        max_length: positions for the text and the longest candidate together.

    Raises:
        ValueError: text that cannot be shortened enough, or labels whose words are the same
            tokens; the message names file and line.
    """
    raw = fill_pattern(pattern.pattern, example.fields)
    parts = (raw.before, raw.after)
    words = [pattern.verbalizer[label] for label in task.labels]
    if example.candidates:
        words = [(text,) for text in example.candidates]
    try:
        ids = [[tuple(encode_candidate(tokenizer, parts, 0, w)) for w in ways] for ways in words]
        if not example.candidates:
            _require_distinct(task, words, ids)
        unique = tuple(dict.fromkeys(candidate for ways in ids for candidate in ways))
        if len(unique) == 1 and len(ids) > 1:
            raise ValueError(
                f"all {len(ids)} candidates have the same tokens in this vocabulary, "
                f"{words[0][0]!r} among them: choose words that it has"
            )
        is_single = task.scoring == "logit" and all(len(candidate) == 1 for candidate in unique)
        num_behind = 1 if is_single else 1 + max(map(len, unique))
        filled = fit_pattern(
            tokenizer,
            special_ids(tokenizer),
            pattern.pattern,
            example.fields,
            shorten=task.shorten,
            max_tokens=max_length - num_behind,
        )
    except ValueError as error:
        raise ValueError(f"{example.place}: {error}") from error
    blank_id = tokenizer.convert_tokens_to_ids(filled.blank)
    places = {candidate: place for place, candidate in enumerate(unique)}
    slots = tuple(tuple(places[candidate] for candidate in ways) for ways in ids)
    scoring: Scoring = "logit" if is_single else "sum" if task.scoring == "logit" else task.scoring
    return ClozePrompt(
        Cloze(filled.token_ids, filled.token_ids.index(blank_id), unique), slots, filled, scoring
    )


def score_prompts(
    model: Any, special: SpecialIds, prompts: Sequence[ClozePrompt], layout: Layout = "blank"
) -> list[Tensor]:
    """Return for each prompt float32[L], the scores of its labels, with gradients.

    Args:
        model: a `GlmInfillForConditionalGeneration`.
        special: ids of the special tokens.
        prompts: any number, one forward for all that are scored in the same way.
        layout: how the model answers.
    """
    scores: dict[int, Tensor] = {}
    for scoring in dict.fromkeys(prompt.scoring for prompt in prompts):
        chosen = [index for index, prompt in enumerate(prompts) if prompt.scoring == scoring]
        of_candidates = score_clozes(
            model, special, [prompts[index].cloze for index in chosen], scoring, layout
        )
        for index, scores_C in zip(chosen, of_candidates, strict=True):
            scores[index] = _of_labels(scores_C, prompts[index].slots)
    return [scores[index] for index in range(len(prompts))]


def score_clozes(
    model: Any,
    special: SpecialIds,
    clozes: Sequence[Cloze],
    scoring: Scoring = "sum",
    layout: Layout = "blank",
) -> list[Tensor]:
    """Return for each cloze float32[C], the scores of its candidates, with gradients.

    Args:
        model: a `GlmInfillForConditionalGeneration`.
        special: ids of the special tokens.
        clozes: texts with an ordinary blank, and candidates; one forward for all.
        scoring: how candidates are compared; "logit" leaves their ends out.
        layout: how the model answers.
    """
    if layout == "masked":
        return score_masked(model, clozes, special.mask, mean=scoring == "mean")
    if layout == "sentinel":
        last = model.config.max_position_embeddings
        clozes = [with_sentinel(cloze, special, last) for cloze in clozes]
    return score_batch(
        model,
        clozes,
        sop_id=start_of_answer(special, layout),
        end_id=None if scoring == "logit" else special.eop,
        normalization="mean" if scoring == "mean" else "sum",
    )


def score_examples(
    model: Any,
    tokenizer: "PreTrainedTokenizerFast",
    task: ClozeTask,
    examples: Sequence[TaskExample],
    *,
    pattern: int | None = None,
    asking: Asking = AS_IT_STANDS,
    prior: Prior | None = None,
    max_length: int | None = None,
    batch_size: int = 32,
    layout: Layout = "blank",
    show_progress: bool = False,
) -> list[Tensor]:
    """Return for each example float32[L], the scores of its labels or candidates.

    Args:
        model: a `GlmInfillForConditionalGeneration`.
        tokenizer: its tokenizer.
        task: the task.
        examples: its examples.
        pattern: number of the pattern; None for the usual one.
        asking: in which words.
        prior: take off what the prompt scores without content: "pmi" with empty fields, or
            "contextual" with fields that are empty and fields of `N/A` (Zhao and others 2021,
            https://arxiv.org/abs/2102.09690); see `unblank.generation.priors`.
        max_length: positions of an example; None for what the model has.
        batch_size: examples scored together; it does not change a score.
        layout: how the model answers.
        show_progress: show a bar on the error stream.

    Raises:
        ValueError: as for `encode_example`.
    """
    if max_length is not None:
        max_length = check_count(max_length, "max_length")
    limit = max_length or model.config.max_position_embeddings
    asked = [asking.ask(task, example, pattern) for example in examples]
    prompts = [encode_example(tokenizer, task, *one, max_length=limit) for one in asked]
    bar = counting_bar(f"scoring {task.name}", len(prompts), show=show_progress)
    with torch.inference_mode(), bar as advance:
        scores = _score_all(model, tokenizer, prompts, batch_size, layout, advance)
        if prior is None:
            return scores
        bare = [
            [
                encode_example(
                    tokenizer, task, without_content(one, task, text), entry, max_length=limit
                )
                for one, entry in asked
            ]
            for text in _CONTENT_FREE[prior]
        ]
        of_texts = [_score_different(model, tokenizer, one, batch_size, layout) for one in bare]
        return [
            without_prior(one, free, prior) for one, *free in zip(scores, *of_texts, strict=True)
        ]


def normalized(
    task: ClozeTask, normalization: Normalization | None
) -> tuple[ClozeTask, Prior | None]:
    """Return the task as its candidates are compared, and which prior is taken off.

    Args:
        task: as its file says.
        normalization: None for what the task says; a prior keeps how it joins tokens.
    """
    if normalization == "sum" or normalization == "mean":
        return replace(task, scoring=normalization), None
    return task, normalization


def _score_different(
    model: Any,
    tokenizer: "PreTrainedTokenizerFast",
    prompts: Sequence[ClozePrompt],
    batch_size: int,
    layout: Layout,
) -> list[Tensor]:
    """Return the scores of each prompt, where most are the same."""
    keys = [(one.cloze, one.slots, one.scoring) for one in prompts]
    firsts = dict(zip(reversed(keys), reversed(prompts), strict=True))
    found = _score_all(model, tokenizer, list(firsts.values()), batch_size, layout)
    of_key = dict(zip(firsts, found, strict=True))
    return [of_key[key] for key in keys]


def _score_all(
    model: Any,
    tokenizer: "PreTrainedTokenizerFast",
    prompts: Sequence[ClozePrompt],
    batch_size: int,
    layout: Layout,
    on_batch: Callable[[int], None] = lambda _: None,
) -> list[Tensor]:
    """Return the scores of each prompt, on the CPU."""
    special = special_ids(tokenizer)
    scores: list[Tensor] = [torch.empty(0)] * len(prompts)
    lengths = [prompt.num_positions for prompt in prompts]
    batches = length_batches(lengths, batch_size, longest_first=True)
    costs = [padded_size([lengths[index] for index in batch]) for batch in batches]

    def scored(batch: list[int]) -> list[Tensor]:
        found = score_prompts(model, special, [prompts[index] for index in batch], layout)
        return [scores_L.cpu() for scores_L in found]

    for batch, of_batch in zip(batches, compute_batches(batches, scored, costs), strict=True):
        for index, scores_L in zip(batch, of_batch, strict=True):
            scores[index] = scores_L
        on_batch(len(batch))
    return scores


def start_of_answer(special: SpecialIds, layout: Layout) -> int:
    """Return the id that Part B begins with.

    Raises:
        ValueError: the answer comes after a sentinel, and there is none.
    """
    if layout != "sentinel":
        return special.sop
    if not special.sentinels:
        raise ValueError(
            "the layout 'sentinel' needs a model pretrained with objective.sentinels, but this "
            "tokenizer has no sentinels: use the layout 'blank'"
        )
    return special.sentinels[0]


def with_sentinel(cloze: Cloze, special: SpecialIds, position: int) -> Cloze:
    """Return the cloze as `objective.sentinels` lays out a text with one span.

    Args:
        cloze: with an ordinary blank.
        special: ids of the special tokens.
        position: of the answer, in place of the blank's.
    """
    before, after = cloze.token_ids[: cloze.blank], cloze.token_ids[cloze.blank + 1 :]
    sentinel = start_of_answer(special, "sentinel")
    return replace(cloze, token_ids=(*before, sentinel, *after), answer_position=position)


def _of_labels(scores_C: Tensor, slots: Sequence[Sequence[int]]) -> Tensor:
    """Return the scores of labels from those of their words."""
    if all(len(ways) == 1 for ways in slots):
        return scores_C[[ways[0] for ways in slots]]
    return torch.stack([scores_C[list(ways)].logsumexp(dim=0) for ways in slots])


def _require_distinct(
    task: ClozeTask,
    words: Sequence[Sequence[str]],
    ids: Sequence[Sequence[tuple[int, ...]]],
) -> None:
    owners: dict[tuple[int, ...], str] = {}
    for label, ways, ways_ids in zip(task.labels, words, ids, strict=True):
        for word, candidate in zip(ways, ways_ids, strict=True):
            if owners.setdefault(candidate, label) != label:
                line = at_line(word).removesuffix(": ")
                raise ValueError(
                    f"labels {owners[candidate]!r} and {label!r} ({word!r}) of "
                    f"{task.path.name}{line and f', {line},'} have the same tokens in this "
                    "vocabulary: choose other words"
                )
