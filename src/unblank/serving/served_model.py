"""A model as the server offers it: the calls of `unblank.load(...)`, awaited.

Texts are read in the event loop, so that bad ones are refused before they wait; the model is only
used in its engine's thread.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from functools import cached_property, lru_cache, partial
from typing import Any, Generic, TypeVar

from unblank.answering.labels import label_answers, label_questions, require_probability
from unblank.api import Unblank
from unblank.families.table import family_of_model
from unblank.finetuning.labels.tuned import LabelModel
from unblank.finetuning.labels.tuned_task import TunedTask
from unblank.generation.constraining import AnswerConstraints
from unblank.generation.decode import TokenReader, require_streamable
from unblank.generation.independent import RowEvent
from unblank.generation.infill import Filler
from unblank.generation.options import DecodingOptions, FillingOrder, GenerationOptions
from unblank.generation.orders import SurestFirst
from unblank.generation.passages import join_passages, passages_of_each, read_with_passages
from unblank.generation.pieces import Filling, Piece
from unblank.generation.prompts import BlankedText
from unblank.generation.results import FillResult, Generated, Scores, TokenEvent
from unblank.generation.rows import Prompt
from unblank.generation.seq2seq import SourceAnswerer
from unblank.generation.setup import DecoderSetup
from unblank.generation.sources import EncodedSource
from unblank.prompting.task import ClozeTask
from unblank.rules.rule import Rule
from unblank.serving.engine import CallTask, DecodingTask, Engine, Task
from unblank.serving.rule_work import RuleWork
from unblank.settings.choices import Layout, Normalization
from unblank.tokenization.special import special_ids
from unblank.unicode import require_unicode

__all__ = ["DecodingRequest", "ServedModel"]

_KEPT_OPTIONS = 256
"""Sets of options whose preparation is kept."""

DecodingRequest = tuple[DecoderSetup, Prompt, Callable[[Piece], bool] | None]
"""How to decode, what, and whether a piece ends early."""

_Result = TypeVar("_Result")
_Options = TypeVar("_Options", DecodingOptions, GenerationOptions)
_Read = TypeVar("_Read", BlankedText, EncodedSource)


class ServedModel:
    """A model, its name and its engine.

    Args:
        name: by which requests choose it.
        unblank: the model.
        engine: that works with it, and with no other model.
        labels: how it was tuned on a task with labels; None for not at all.
    """

    def __init__(
        self, name: str, unblank: Unblank, engine: Engine, labels: LabelModel | None = None
    ) -> None:
        self.name = name
        self.unblank = unblank
        self.engine = engine
        self.family = family_of_model(unblank.model)
        # The engine's thread reads texts, too, while the event loop does.
        self._in_engine = Unblank(unblank.model, deepcopy(unblank.tokenizer), unblank.calibration)
        tokenizer = self._in_engine.tokenizer
        labels = labels or LabelModel(name, unblank.model, tokenizer)
        self.labels = replace(labels, name=name, tokenizer=tokenizer)
        self._filler = lru_cache(_KEPT_OPTIONS)(unblank.filler)
        new_answerer = partial(SourceAnswerer, unblank.model, unblank.tokenizer)
        self._answerer = lru_cache(_KEPT_OPTIONS)(new_answerer)
        self.rule_work = RuleWork()

    @cached_property
    def continuation_rules(self) -> AnswerConstraints:
        """What makes the rules on answers of `Continuation` into constraints."""
        setup = self.answerer(GenerationOptions()).setup
        return AnswerConstraints(
            self.unblank.tokenizer,
            setup.rules,
            setup.options,
            is_standalone=self.family.writes != "blanks",
        )

    def filler(self, options: DecodingOptions) -> Filler:
        """Return what fills texts; options that differ only in their seed share its rules."""
        return self._filler(_without_seed(options))

    def answerer(self, options: GenerationOptions) -> SourceAnswerer:
        """Return what answers sources; options that differ only in their seed share its rules."""
        return self._answerer(_without_seed(options))

    async def fill(
        self,
        texts: Sequence[str],
        options: DecodingOptions,
        order: FillingOrder | None = None,
        rules: Sequence[Rule] = (),
    ) -> list[FillResult]:
        """Return the filled texts, as `Unblank.fill` does; errors as there and of `Engine`."""
        filler = self.filler(options)
        setup = _with_seed(filler.setup, options)
        blanked = await self._blanked(filler, setup, texts, order, rules)
        fillings = await self.decode([(setup, one.prompt, None) for one in blanked])
        return [filler.result(one, found) for one, found in zip(blanked, fillings, strict=True)]

    async def fill_stream(
        self,
        text: str,
        options: DecodingOptions,
        order: FillingOrder | None = None,
        rules: Sequence[Rule] = (),
    ) -> AsyncGenerator[TokenEvent | FillResult]:
        """Return an iterator over the tokens of a text as they are chosen, then the result."""
        require_streamable(options)
        filler = self.filler(options)
        setup = _with_seed(filler.setup, options)
        (blanked,) = await self._blanked(filler, setup, [text], order, rules)
        reader = TokenReader(setup, self.unblank.tokenizer, filler.text_of)
        chosen = self.decode_stream([(setup, blanked.prompt, None)])

        async def events() -> AsyncGenerator[TokenEvent | FillResult]:
            async for _, event in chosen:
                if isinstance(event, RowEvent):
                    token = reader.read(event)
                    yield replace(token, blank=blanked.order[token.blank])
                else:
                    yield filler.result(blanked, event)

        return events()

    async def fill_with_passages(
        self,
        text: str,
        passages: Sequence[str],
        options: DecodingOptions,
        order: Sequence[int] | None = None,
    ) -> FillResult:
        """Return the filled text, as `Unblank.fill` does with passages; errors as there."""
        (of_text,) = passages_of_each(_checked(text, "text"), passages)
        filler = Filler(self.unblank.model, self.unblank.tokenizer, options)
        asked = read_with_passages(filler, text, of_text, order)
        found = await self.decode([(filler.setup, prompt, None) for prompt in asked.prompts])
        flat = [filling for fillings in found for filling in fillings]
        end_id = special_ids(self.unblank.tokenizer).eop
        joined = await self._call(lambda: join_passages(filler.setup, asked, flat, end_id=end_id))
        return filler.result(asked.blanked, joined)

    async def generate(
        self, sources: Sequence[str], options: GenerationOptions, rules: Sequence[Rule] = ()
    ) -> list[Generated]:
        """Return the answers, as `Unblank.generate` does; errors as there and of `Engine`."""
        answerer = self.answerer(options)
        read = [answerer.read(_checked(source, "source")) for source in sources]
        if rules:
            read = await self._each(answerer.constrained, read, rules)
        setup = _with_seed(answerer.setup, options)
        fillings = await self.decode([(setup, one.prompt, None) for one in read])
        return [answerer.result(one, found) for one, found in zip(read, fillings, strict=True)]

    async def generate_stream(
        self, source: str, options: GenerationOptions, rules: Sequence[Rule] = ()
    ) -> AsyncGenerator[TokenEvent | Generated]:
        """Return an iterator over the tokens of an answer as they are chosen, then the answer."""
        require_streamable(options)
        answerer = self.answerer(options)
        read = answerer.read(_checked(source, "source"))
        if rules:
            (read,) = await self._each(answerer.constrained, [read], rules)
        setup = _with_seed(answerer.setup, options)
        reader = TokenReader(setup, self.unblank.tokenizer, answerer.text_of)
        chosen = self.decode_stream([(setup, read.prompt, None)])

        async def events() -> AsyncGenerator[TokenEvent | Generated]:
            async for _, event in chosen:
                if isinstance(event, RowEvent):
                    yield reader.read(event)
                else:
                    yield answerer.result(read, event)

        return events()

    async def score(
        self, texts: list[str], candidates: list[list[str]], **options: Any
    ) -> list[Scores]:
        """Return the scores, as `Unblank.score` does, with its options and its errors."""
        return await self._call(lambda: self._in_engine.score(texts, candidates, **options))

    async def classify(
        self,
        task: ClozeTask,
        records: Sequence[Mapping[str, Any]],
        *,
        patterns: Sequence[int] = (),
        layout: Layout | None = None,
        normalization: Normalization | None = None,
        abstain_below: float | None = None,
    ) -> tuple[list[dict[str, Any]], TunedTask]:
        """Return the answer to each record, as `unblank predict` writes it, and what was asked.

        Args:
            task: what is asked.
            records: raw records, as in a file of examples.
            patterns: as for `LabelModel.ask`.
            layout: as for `LabelModel.ask`.
            normalization: as for `LabelModel.ask`.
            abstain_below: give no label that is less probable; None for what was learned in
                calibrating, if anything.

        Raises:
            ValueError: fields that the task needs are missing, model and task do not fit, or a
                threshold for a task that has no use for it.
        """
        tuned = self.labels.ask(
            task, patterns=patterns, layout=layout, normalization=normalization
        ).calibrated(self.unblank.calibration)
        require_probability(task, abstain_below)
        asked = [label_questions(task, one, f"input {i}")[0] for i, one in enumerate(records)]
        flat = [example for examples in asked for example in examples]
        shares = await self._call(lambda: tuned.shares(flat))
        threshold = tuned.threshold(abstain_below)
        return label_answers(tuned, asked, shares, threshold), tuned

    async def decode(self, requests: Sequence[DecodingRequest]) -> list[list[Filling]]:
        """Return the fillings of prompts, best first; a cancelled call gives up its places."""
        waits = [_Wait[list[Filling]]() for _ in requests]
        tasks = [
            DecodingTask(setup, prompt, wait.end, ends_early=ends_early)
            for (setup, prompt, ends_early), wait in zip(requests, waits, strict=True)
        ]
        with self._submitted(tasks):
            return await asyncio.gather(*(wait.future for wait in waits))

    def decode_stream(
        self, requests: Sequence[DecodingRequest]
    ) -> AsyncGenerator[tuple[int, RowEvent | list[Filling]]]:
        """Return an iterator over the chosen tokens of prompts; of each at last its fillings.

        All are submitted at once, and given up when the iterator is closed.

        Args:
            requests: decoded greedily or by sampling.

        Returns:
            Pairs of the number of a request and a token, or its fillings in the order of samples.
        """
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[Any] = asyncio.Queue()

        def put(number: int, event: Any) -> None:
            loop.call_soon_threadsafe(queue.put_nowait, (number, event))

        tasks = [
            DecodingTask(
                setup, prompt, partial(put, number), on_token=partial(put, number), ends_early=early
            )
            for number, (setup, prompt, early) in enumerate(requests)
        ]
        self.engine.submit(tasks)

        async def events() -> AsyncGenerator[tuple[int, RowEvent | list[Filling]]]:
            num_left = len(tasks)
            try:
                while num_left:
                    number, event = await queue.get()
                    if isinstance(event, Exception):
                        raise event
                    if isinstance(event, RowEvent):
                        yield number, event
                    else:
                        num_left -= 1
                        yield number, tasks[number].job.fillings
            finally:
                for task in tasks:
                    self.engine.cancel(task)

        return events()

    async def _blanked(
        self,
        filler: Filler,
        setup: DecoderSetup,
        texts: Sequence[str],
        order: FillingOrder | None,
        rules: Sequence[Rule],
    ) -> list[BlankedText]:
        """Return texts ready to be filled, held to rules, the surest blank first if asked for."""
        first = None if order == "confidence" else order
        blanked = [filler.read(_checked(text, "text"), first) for text in texts]
        if rules:
            blanked = await self._each(filler.constrained, blanked, rules)
        if order != "confidence":
            return blanked
        for search in (searches := [SurestFirst(one) for one in blanked]):
            while trials := search.trials():
                search.choose(await self.decode([(setup, prompt, None) for prompt in trials]))
        return [one.ordered(search.order) for one, search in zip(blanked, searches, strict=True)]

    async def _each(
        self,
        constrained: Callable[[_Read, Sequence[Rule]], _Read],
        read: Sequence[_Read],
        rules: Sequence[Rule],
    ) -> list[_Read]:
        """Return texts or sources that are held to rules; errors as for `RuleWork`."""
        return await self.rule_work.do(lambda: [constrained(one, rules) for one in read])

    async def _call(self, function: Callable[[], _Result]) -> _Result:
        wait = _Wait[_Result]()
        with self._submitted([CallTask(function, wait.end)]):
            return await wait.future

    @contextmanager
    def _submitted(self, tasks: Sequence[Task]) -> Iterator[None]:
        self.engine.submit(tasks)
        try:
            yield
        finally:
            for task in tasks:
                self.engine.cancel(task)


class _Wait(Generic[_Result]):
    """A future of the event loop that another thread fulfils."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[_Result] = self._loop.create_future()

    def end(self, result: Any) -> None:
        self._loop.call_soon_threadsafe(self._set, result)

    def _set(self, result: Any) -> None:
        if self.future.done():
            return
        if isinstance(result, Exception):
            self.future.set_exception(result)
        else:
            self.future.set_result(result)


def _checked(text: str, name: str) -> str:
    require_unicode(text, name)
    return text


def _without_seed(options: _Options) -> _Options:
    return replace(options, seed=0)


def _with_seed(setup: DecoderSetup, options: DecodingOptions | GenerationOptions) -> DecoderSetup:
    if options.seed == setup.options.seed:
        return setup
    return replace(setup, options=replace(setup.options, seed=options.seed))
