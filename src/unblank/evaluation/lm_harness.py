"""EleutherAI's lm-eval on a GLM: its requests answered by one-pass scoring and by filling.

A continuation is what fills `[gMASK]` after the context, and the context is seen from both
sides; `loglikelihood_rolling` is the left-to-right factorisation in windows, the first token given
nothing but the blank. Continuations of one context are scored in one forward pass. Tasks are local
YAML files; nothing is fetched unless a task itself names a data set of the hub.
"""

import logging
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lm_eval import simple_evaluate
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager
from yaml import YAMLError

from unblank.api import load
from unblank.evaluation.left_to_right import continuation_layout, window_bounds
from unblank.evaluation.options import LmEvalOptions
from unblank.evaluation.perplexity import choose_window
from unblank.evaluation.results import Score, SuiteResult
from unblank.evaluation.session import Session
from unblank.evaluation.token_scores import score_labels
from unblank.families.table import family_of_model
from unblank.generation.options import GenerationOptions
from unblank.generation.rows import Prompt
from unblank.generation.score import Cloze, score_first_choices
from unblank.generation.seq2seq import generate_from_ids
from unblank.models.products import fast_fp32_products
from unblank.plurals import counted
from unblank.progress_bars import counting_bar
from unblank.tokenization.encoding import encode_between_blanks, encode_texts
from unblank.tokenization.special import special_ids
from unblank.untrusted.plain_text import read_plain_text

__all__ = [
    "FolderLM",
    "run_lm_eval",
]

_BATCH_POSITIONS = 4096
"""Number of positions scored at once."""

_DEFAULT_GENERATED = 256
"""Most tokens of an answer, unless the task sets a number."""

_DEFAULT_DEVICE = "cuda:0"
"""The device of lm-eval's command, unless it is given one."""

_SAMPLE_FIELDS = ("doc_id", "doc", "target", "filtered_resps")

_NAME = re.compile(r"^(group|task):[ \t]*([^\s#\[]+)[ \t]*(?:#.*)?$", re.MULTILINE)


def run_lm_eval(session: Session[LmEvalOptions]) -> Iterator[SuiteResult]:
    """Yield the scores of each task file, as lm-eval computes and names them.

    Raises:
        ValueError: if no file is given, or one is not a task.
        FileNotFoundError: if a file is not there.
    """
    files = [Path(name) for name in session.options.tasks]
    if not files:
        raise ValueError("the suite lm-eval needs local task files: --tasks FILE.yaml [...]")
    logging.getLogger("lm_eval").setLevel(logging.WARNING)
    model = BlankLM(session.model, session.tokenizer, show_progress=True)
    for file in files:
        started = time.perf_counter()
        manager, tasks = _load(file)
        found = simple_evaluate(
            model=model,
            tasks=tasks,
            task_manager=manager,
            limit=session.options.limit,
            bootstrap_iters=1000,
        )
        yield _result(found or {}, time.perf_counter() - started)
    if model.num_cut:
        session.say(
            f"{counted(model.num_cut, 'context')} cut at the beginning: too long for the model"
        )


@dataclass(frozen=True, slots=True)
class _Request:
    """A continuation of a context, by its place among the requests."""

    index: int
    context_ids: tuple[int, ...]
    continuation_ids: tuple[int, ...]


class BlankLM(LM):  # type: ignore[misc]
    """A GLM as lm-eval sees a language model.

    Args:
        model: a `GlmInfillForConditionalGeneration` in evaluation mode.
        tokenizer: its tokenizer.
        show_progress: show bars on the error stream.

    Attributes:
        num_cut: contexts that were too long so far, and lost their beginning.
    """

    def __init__(self, model: Any, tokenizer: Any, *, show_progress: bool = False) -> None:
        super().__init__()
        self._model = model
        self._tokenizer = tokenizer
        self._show_progress = show_progress
        self._special = special_ids(tokenizer)
        self._max_positions: int = model.config.max_position_embeddings
        self.num_cut = 0

    @property
    def device(self) -> Any:
        """Where the model is."""
        return self._model.device

    @torch.inference_mode()
    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """Return for each (context, continuation) log-probability, and whether it is greedy.

        Raises:
            ValueError: if a continuation is longer than the model's positions.
        """
        results: list[tuple[float, bool]] = [(0.0, True)] * len(requests)
        encoded = [self._encode(number, *one.args) for number, one in enumerate(requests)]
        asked = [request for request in encoded if request.continuation_ids]
        with counting_bar("loglikelihood", len(asked), show=self._show_progress) as advance:
            for batch in _batches(_by_context(asked)):
                self._score(batch, results)
                advance(sum(map(len, batch)))
        return results

    @torch.inference_mode()
    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        """Return the log-probability of each text, every token scored once in windows."""
        window, stride = choose_window(None, None, self._max_positions - len(self._special.prompt))
        totals = [0.0] * len(requests)
        owners, examples = [], []
        for number, request in enumerate(requests):
            (ids,) = encode_texts(self._tokenizer, [request.args[0]])
            # One token more, so that the first one is scored too: given nothing.
            for first, scored, end in window_bounds(len(ids) + 1, window, stride):
                before, target = ids[max(first - 1, 0) : scored - 1], ids[scored - 1 : end - 1]
                owners.append(number)
                examples.append(continuation_layout(before, target, self._special))
        with counting_bar("windows", len(examples), show=self._show_progress) as advance:
            scores = score_labels(self._model, examples, advance=advance)
        for owner, score in zip(owners, scores, strict=True):
            totals[owner] += score.total
        return totals

    @torch.inference_mode()
    def generate_until(self, requests: list[Instance]) -> list[str]:
        """Return what the model writes after each context, up to a stop text.

        Raises:
            ValueError: for settings of generation that there are not.
        """
        answers = [""] * len(requests)
        groups: dict[str, list[int]] = {}
        for number, request in enumerate(requests):
            groups.setdefault(repr(sorted(request.args[1].items())), []).append(number)
        for numbers in groups.values():
            settings = dict(requests[numbers[0]].args[1])
            stops = settings.pop("until", [])
            options = _generation_options(settings, self._max_positions - 1)
            prompts = [self._prompt(requests[number].args[0]) for number in numbers]
            found = generate_from_ids(
                self._model,
                self._tokenizer,
                prompts,
                options,
                show_progress=self._show_progress,
            )
            for number, answer in zip(numbers, found, strict=True):
                answers[number] = _until(answer.text, [stops] if isinstance(stops, str) else stops)
        return answers

    def _encode(self, index: int, context: str, continuation: str) -> _Request:
        """Cut at the blank between both; white space at the end goes with the continuation."""
        kept = context.rstrip()
        parts = [kept, context[len(kept) :] + continuation]
        context_ids, continuation_ids = encode_between_blanks(self._tokenizer, parts)
        if len(continuation_ids) >= self._max_positions:
            raise ValueError(
                f"a continuation has {len(continuation_ids)} tokens, but the model has "
                f"{self._max_positions} positions: {continuation[:60]!r}"
            )
        return _Request(index, self._fitting(context_ids), tuple(continuation_ids))

    def _fitting(self, context_ids: Sequence[int]) -> tuple[int, ...]:
        """Return the end of a context for which Part A has room, and count it if that is less."""
        room = self._max_positions - len(self._special.start) - 1
        self.num_cut += len(context_ids) > room
        return tuple(context_ids[max(0, len(context_ids) - room) :])

    def _prompt(self, context: str) -> Prompt:
        context_ids, _ = encode_between_blanks(self._tokenizer, [context, ""])
        token_ids = (*self._special.start, *self._fitting(context_ids), self._special.gmask)
        return Prompt(token_ids, (len(token_ids) - 1,))

    def _score(self, batch: Sequence[list[_Request]], results: list[tuple[float, bool]]) -> None:
        """Score all continuations of some contexts, equal ones once, and note the results."""
        clozes = []
        for requests in batch:
            part_a = (*self._special.start, *requests[0].context_ids, self._special.gmask)
            candidates = list(dict.fromkeys(request.continuation_ids for request in requests))
            clozes.append(Cloze(part_a, len(part_a) - 1, candidates))
        with fast_fp32_products(self._model.dtype, self._model.device):
            found = score_first_choices(
                self._model, clozes, sop_id=self._special.sop, row_length=_BATCH_POSITIONS // 8
            )
        for requests, cloze, (sums_C, is_first_C) in zip(batch, clozes, found, strict=True):
            for request in requests:
                place = cloze.candidates.index(request.continuation_ids)
                results[request.index] = (float(sums_C[place]), bool(is_first_C[place]))


class FolderLM(BlankLM):
    """The model of a folder, as lm-eval makes it for `--model unblank`.

    Args:
        pretrained: a GLM's folder, or that of an adapter on one.
        device: "auto" (a GPU if there is one), or a torch device name; "cuda:0", which
            lm-eval gives where nobody chose, is "auto" too.
        dtype: "fp32", "bf16" or "fp16"; None for the saved one.
        batch_size: lm-eval always gives one; batches are as large as fits here.
        max_batch_size: likewise.

    Raises:
        FileNotFoundError: no such folder, or files of a model are missing from it.
        ValueError: a model that fills no blanks, or one that cannot be opened.
    """

    def __init__(
        self,
        pretrained: str,
        *,
        device: str = "auto",
        dtype: str | None = None,
        batch_size: int | str | None = None,
        max_batch_size: int | None = None,
    ) -> None:
        if device == _DEFAULT_DEVICE:
            device = "auto"
        opened = load(pretrained, device=device, dtype=dtype)
        family = family_of_model(opened.model)
        if family.writes != "blanks":
            raise ValueError(
                f"{pretrained} is a {family.name}, which fills no blanks: lm-eval can measure a GLM"
            )
        super().__init__(opened.model, opened.tokenizer, show_progress=True)


def _by_context(requests: Sequence[_Request]) -> list[list[_Request]]:
    """Return the requests of each context, the longest first."""
    groups: dict[tuple[int, ...], list[_Request]] = {}
    for request in requests:
        groups.setdefault(request.context_ids, []).append(request)
    return sorted(groups.values(), key=_num_positions, reverse=True)


def _num_positions(requests: Sequence[_Request]) -> int:
    """Return about how many columns a context takes with all its continuations."""
    answers = sum(len(request.continuation_ids) for request in requests)
    return len(requests[0].context_ids) + answers + 3


def _batches(groups: Sequence[list[_Request]]) -> Iterator[list[list[_Request]]]:
    """Yield contexts that are scored together, as many as fit."""
    batch: list[list[_Request]] = []
    used = 0
    for group in groups:
        size = _num_positions(group)
        if batch and used + size > _BATCH_POSITIONS:
            yield batch
            batch, used = [], 0
        batch.append(group)
        used += size
    if batch:
        yield batch


def _generation_options(settings: dict[str, Any], longest: int) -> GenerationOptions:
    """Return our options for lm-eval's; it knows names of its own."""
    known = {
        "max_gen_toks": "max_tokens",
        "do_sample": "do_sample",
        "temperature": "temperature",
        "top_k": "top_k",
        "top_p": "top_p",
        "num_beams": "num_beams",
    }
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise ValueError(f"generation_kwargs has {unknown}: allowed are until, {', '.join(known)}")
    options = {known[name]: value for name, value in settings.items()}
    options["max_tokens"] = min(int(options.get("max_tokens", _DEFAULT_GENERATED)), longest)
    if not options.get("do_sample") or not options.get("temperature"):
        for name in ("do_sample", "temperature", "top_k", "top_p"):
            options.pop(name, None)  # lm-eval writes temperature 0 for greedy
    return GenerationOptions(**options)


def _until(text: str, stops: Sequence[str]) -> str:
    """Return the text up to the first of the stop texts."""
    ends = [text.index(stop) for stop in stops if stop and stop in text]
    return text[: min(ends)] if ends else text


def _load(file: Path) -> tuple[TaskManager, list[Any]]:
    """Return the group or the task that a file defines; a group's tasks lie in its folder."""
    if not file.is_file():
        raise FileNotFoundError(f"there is no task file {file}")
    named = _NAME.findall(read_plain_text(file))
    if not named:
        raise ValueError(f"{file} names no task: it needs a line `task: NAME`")
    key, name = named[0]
    path = file.resolve()
    folder = str(path.parent) if key == "group" else None
    manager = TaskManager(include_path=folder, include_defaults=False)
    try:
        loaded = manager.load([name if key == "group" else str(path)])
    except (KeyError, YAMLError) as error:
        raise ValueError(f"lm-eval cannot read the task {file}: {error}") from error
    return manager, list((loaded["groups"] or loaded["tasks"]).values())


def _result(found: dict[str, Any], seconds: float) -> SuiteResult:
    """Return what lm-eval found, under its own names; most of its metrics lie in [0, 1]."""
    scores = []
    for task, values in found.get("results", {}).items():
        members = found.get("group_subtasks", {}).get(task) or [task]
        counts = found.get("n-samples", {})
        number = sum(counts.get(member, {}).get("effective", 0) for member in members)
        for key, value in values.items():
            metric, _, variant = key.partition(",")
            if metric.endswith("_stderr") or not isinstance(value, int | float) or not variant:
                continue
            error = values.get(f"{metric}_stderr,{variant}")
            scores.append(
                Score(
                    task=task,
                    metric=key.removesuffix(",none"),
                    value=float(value),
                    count=number,
                    standard_error=error if isinstance(error, float) else None,
                    seconds=seconds,
                    details={"higher_is_better": found.get("higher_is_better", {}).get(task)},
                )
            )
    lines = [
        {"task": task, **{name: sample.get(name) for name in _SAMPLE_FIELDS}}
        for task, samples in found.get("samples", {}).items()
        for sample in samples
    ]
    return SuiteResult(scores, lines)
