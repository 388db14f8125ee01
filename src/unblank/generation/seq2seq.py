"""Writing answers to sources, with every model: batches of similar length, results in order.

An encoder-decoder writes behind its encoder, a GLM in a blank after the source
(`unblank.generation.building`).
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from unblank.generation.building import answer_setup, longest_answer
from unblank.generation.constraining import AnswerConstraints, TextRules, rules_of_each
from unblank.generation.decode import decode_in_batches, stream_tokens
from unblank.generation.options import GenerationOptions
from unblank.generation.pieces import Filling
from unblank.generation.results import Generated, TokenEvent
from unblank.generation.rows import Prompt
from unblank.generation.sources import EncodedSource, read_sources
from unblank.plurals import counted
from unblank.progress_bars import counting_bar
from unblank.rules.rule import Rule, RuleLike, read_rules

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = [
    "DEFAULT_BATCH_SIZE",
    "SourceAnswerer",
    "generate_from_ids",
    "generate_texts",
]

DEFAULT_BATCH_SIZE = 32


def generate_texts(
    model: Any,
    tokenizer: "PreTrainedTokenizerFast",
    sources: Sequence[str],
    options: GenerationOptions | None = None,
    *,
    rules: TextRules | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
    show_progress: bool = False,
) -> list[Generated]:
    """Return what the model writes to each source, in the order of the sources.

    Args:
        model: a DeltaLM, GanLM or GLM with its head, in evaluation mode.
        tokenizer: its tokenizer.
        sources: plain texts; one for a GLM may hold the blank that is to be filled.
        options: how answers are written; None for greedy decoding.
        rules: on the answers, of all sources or a list for each.
        batch_size: sources answered together; it does not change a result.
        show_progress: show a bar on the error stream.

    Raises:
        ValueError: options, sources and model that do not fit; sources that are too long, unless
            they may be cut (a warning then tells how many were); rules that cannot be met.
    """
    answerer = SourceAnswerer(model, tokenizer, options or GenerationOptions())
    with counting_bar("generate", len(sources), show=show_progress) as advance:
        answers = answerer.answer(sources, rules=rules, batch_size=batch_size, on_batch=advance)
    if num_cut := sum(answer.is_source_cut for answer in answers):
        limit = model.config.max_position_embeddings
        warnings.warn(
            f"{num_cut} of {counted(len(answers), 'source')} cut at the model's {limit} positions",
            stacklevel=2,
        )
    return answers


def generate_from_ids(
    model: Any,
    tokenizer: "PreTrainedTokenizerFast",
    prompts: Sequence[Prompt],
    options: GenerationOptions | None = None,
    *,
    batch_size: int = DEFAULT_BATCH_SIZE,
    show_progress: bool = False,
) -> list[Generated]:
    """Return what the model writes to sources that are already laid out as token ids.

    Args:
        model: as for `generate_texts`.
        tokenizer: its tokenizer.
        prompts: complete inputs of the encoder, or Part A of a GLM with the place of its blank.
        options: as for `generate_texts`; what lays out sources (tag, blank) is not used.
        batch_size: sources answered together.
        show_progress: show a bar on the error stream.

    Raises:
        ValueError: options and model do not fit.
    """
    answerer = SourceAnswerer(model, tokenizer, options or GenerationOptions())
    with counting_bar("generate", len(prompts), show=show_progress) as advance:
        return answerer.answer_prompts(prompts, batch_size=batch_size, on_batch=advance)


class SourceAnswerer:
    """Writes answers with one model, tokenizer and set of options.

    Args:
        model: a DeltaLM, GanLM or GLM with its head, in evaluation mode.
        tokenizer: its tokenizer.
        options: how answers are written.

    Attributes:
        setup: how answers are decoded.

    Raises:
        ValueError: options that the model cannot follow, or a model in training mode.
    """

    def __init__(
        self, model: Any, tokenizer: "PreTrainedTokenizerFast", options: GenerationOptions
    ) -> None:
        if model.training:
            raise ValueError("the model is in training mode: call model.eval() to turn dropout off")
        self.setup = answer_setup(model, tokenizer, options)
        self._config: Any = model.config
        self._tokenizer = tokenizer
        self._options = options
        self._rules = AnswerConstraints(tokenizer, self.setup.rules, options, is_standalone=True)

    def check(self, sources: Sequence[str], rules: TextRules | None = None) -> None:
        """Raise what `answer` would raise for these sources."""
        of_each = rules_of_each(rules, len(sources))
        for source, own in zip(self._read_all(sources), of_each, strict=True):
            self.constrained(source, own)

    def answer(
        self,
        sources: Sequence[str],
        *,
        rules: TextRules | None = None,
        batch_size: int = DEFAULT_BATCH_SIZE,
        on_batch: Callable[[int], None] = lambda _: None,
    ) -> list[Generated]:
        """Return the answers in the order of the sources.

        Args:
            sources: as for `generate_texts`.
            rules: as for `generate_texts`.
            batch_size: sources answered together.
            on_batch: called with the number of sources that were just answered.

        Raises:
            ValueError: as for `generate_texts`.
        """
        of_each = rules_of_each(rules, len(sources))
        return self._answer(self._read_all(sources), of_each, batch_size, on_batch)

    def answer_prompts(
        self,
        prompts: Sequence[Prompt],
        *,
        batch_size: int,
        on_batch: Callable[[int], None] = lambda _: None,
    ) -> list[Generated]:
        """Return the answers to token ids; arguments as for `generate_from_ids` and `answer`."""
        sources = [EncodedSource(self._limited(prompt)) for prompt in prompts]
        return self._answer(sources, [()] * len(sources), batch_size, on_batch)

    def stream(
        self, source: str, rules: Sequence[RuleLike] | RuleLike | None = None
    ) -> Iterator[TokenEvent | Generated]:
        """Yield every token of one answer as it is chosen, then the answer.

        Args:
            source: as for `generate_texts`.
            rules: on the answer.

        Raises:
            ValueError: also for beam search and several answers, which have no single next token.
        """
        read = self.read(source, read_rules(rules or ()))
        events = stream_tokens(self.setup, read.prompt, self._tokenizer, self.text_of)
        return (
            event if isinstance(event, TokenEvent) else self.result(read, [event])
            for event in events
        )

    def read(self, source: str, rules: Sequence[Rule] = ()) -> EncodedSource:
        """Return what is decoded to answer a source; errors as for `generate_texts`."""
        (read,) = self._read_all([source])
        return self.constrained(read, rules)

    def _read_all(self, sources: Sequence[str]) -> list[EncodedSource]:
        read = read_sources(self._config, self._tokenizer, sources, self._options)
        return [replace(one, prompt=self._limited(one.prompt)) for one in read]

    def constrained(self, source: EncodedSource, rules: Sequence[Rule]) -> EncodedSource:
        """Return a source whose answer is held to rules; ValueError if they cannot be met."""
        if not rules:
            return source
        limit = source.prompt.max_tokens or self.setup.rules.max_tokens
        constraints = self._rules.constraints(rules, (0,), max_tokens=limit)
        return replace(source, prompt=replace(source.prompt, constraints=constraints))

    def _answer(
        self,
        sources: Sequence[EncodedSource],
        rules: Sequence[Sequence[Rule]],
        batch_size: int,
        on_batch: Callable[[int], None],
    ) -> list[Generated]:
        prompts = [source.prompt for source in sources]
        answers: dict[int, Generated] = {}

        def prepared(number: int) -> Prompt:
            return self.constrained(sources[number], rules[number]).prompt

        for batch in decode_in_batches(
            self.setup, prompts, batch_size, longest_first=True, prepared=prepared
        ):
            answers |= {number: self.result(sources[number], found) for number, found in batch}
            on_batch(len(batch))
        return [answers[number] for number in range(len(sources))]

    def _limited(self, prompt: Prompt) -> Prompt:
        """Return the prompt with the greatest length of its own answer."""
        if prompt.max_tokens is not None:
            return prompt
        more = int(self._options.max_tokens_ratio * len(prompt.token_ids))
        most = self.setup.rules.max_tokens + more
        longest = longest_answer(self._config, self._options)
        return replace(prompt, max_tokens=min(most, longest))

    def result(self, source: EncodedSource, fillings: Sequence[Filling]) -> Generated:
        """Return what was decoded, best first, as an answer."""
        first, *others = [self._one_result(source, filling) for filling in fillings]
        return replace(first, alternatives=tuple(others))

    def _one_result(self, source: EncodedSource, filling: Filling) -> Generated:
        (piece,) = filling.pieces
        return Generated(
            text=self.text_of(piece.token_ids),
            token_ids=tuple(piece.token_ids),
            log_probability=piece.log_probability,
            # At the greatest length a beam is made to end.
            finished=piece.is_finished and len(piece.token_ids) != source.prompt.max_tokens,
            is_source_cut=source.is_cut,
        )

    def text_of(self, token_ids: Sequence[int]) -> str:
        """Return the text of an answer."""
        text: str = self._tokenizer.decode(
            list(token_ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text.lstrip(" ")
