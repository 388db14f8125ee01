"""Beam search written down from the published programs (fairseq's), with all of their options.

A second, naive search for tests: it shows that a model gives the recorded hypotheses whatever
decoder reads it. `unblank.generation.beam` is the one of the library.

Shapes: `B` sentences, `K` beams, `V` vocabulary, `C` candidates of a sentence (2K).
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.generation import NoRepeatNGramLogitsProcessor
from transformers.modeling_outputs import BaseModelOutput

from unblank.models.encoder_decoder.seq2seq import EncoderDecoderForConditionalGeneration
from unblank.models.encoder_decoder.stacks import real_tokens

NEVER = float("-inf")


@dataclass(frozen=True, kw_only=True, slots=True)
class BeamOptions:
    """How to search."""

    num_beams: int = 5
    """Hypotheses kept alive for each sentence."""
    max_length: int = 200
    """Longest output in tokens, without the end token."""
    min_length: int = 1
    """Shortest output in tokens, without the end token."""
    length_penalty: float = 1.0
    """Scores are divided by length (with the end token) to this power; 0 is no normalisation."""
    no_repeat_ngram_size: int = 0
    """No sequence of so many tokens appears twice; 0 allows repetition."""
    temperature: float = 1.0
    """Divides the logits."""
    unknown_penalty: float = 0.0
    """Taken from the log-probability of the unknown token."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A finished output.

    Attributes:
        token_ids: with the end token.
        score: sum of log-probabilities / length ** length_penalty.
    """

    token_ids: list[int]
    score: float


@torch.no_grad()
def published_beam_search(
    model: EncoderDecoderForConditionalGeneration,
    input_ids: Tensor,
    settings: BeamOptions,
    attention_mask: Tensor | None = None,
    prefix_ids: Tensor | None = None,
) -> list[list[Hypothesis]]:
    """Return the finished hypotheses of every sentence, best first.

    Args:
        model: the model, in eval mode.
        input_ids: int64[B, S], the sources.
        settings: how to search.
        attention_mask: [B, S], non-zero on real tokens; None finds the padding.
        prefix_ids: int64[B, P], the tokens to start with. As in the published program every other
            token stays possible, a little less likely than the least likely prefix of the batch.
    """
    config: Any = model.config
    num_beams = settings.num_beams
    attention_mask = real_tokens(input_ids, attention_mask, config)
    source = model.get_encoder()(input_ids, attention_mask).last_hidden_state
    stepper = _Stepper(model, source, attention_mask, num_beams)
    rows, end = input_ids.shape[0], config.eos_token_id
    tokens = torch.full((rows * num_beams, 1), config.decoder_start_token_id)
    tokens = tokens.to(input_ids.device)
    totals = torch.zeros(rows, num_beams, device=input_ids.device)
    is_dead = torch.zeros(rows, num_beams, dtype=torch.bool, device=input_ids.device)
    first_beams = torch.arange(rows, device=input_ids.device)[:, None] * num_beams
    finished: list[list[Hypothesis]] = [[] for _ in range(rows)]
    for step in range(settings.max_length + 1):
        log_p = torch.log_softmax(stepper.logits(tokens) / settings.temperature, dim=-1)
        log_p = _constrain(log_p, tokens, step, settings, config, prefix_ids)
        log_p = log_p.view(rows, num_beams, -1)
        log_p = log_p[:, :1] if step == 0 else log_p + totals[:, :, None]
        num_candidates = min(2 * num_beams, log_p[0].numel() - 1)
        scores_BC, flat_BC = log_p.reshape(rows, -1).topk(num_candidates)
        beams_BC = first_beams + flat_BC // log_p.shape[-1]
        ids_BC = flat_BC % log_p.shape[-1]
        ends_BC = (ids_BC == end) & (scores_BC != NEVER)
        ends_BC[:, :num_beams] &= ~is_dead
        for row, column in ends_BC[:, :num_beams].nonzero().tolist():
            if len(finished[row]) < num_beams:
                prefix = tokens[beams_BC[row, column], 1:].tolist()
                score = scores_BC[row, column].item() / (step + 1) ** settings.length_penalty
                finished[row].append(Hypothesis([*prefix, end], score))
        if step == settings.max_length or all(len(found) == num_beams for found in finished):
            break
        ends_BC[:, :num_beams] |= is_dead
        order = torch.arange(num_candidates, device=input_ids.device)
        ranks, alive_BK = (ends_BC * num_candidates + order).topk(num_beams, largest=False)
        is_dead = ranks >= num_candidates
        chosen = beams_BC.gather(1, alive_BK).flatten()
        tokens = torch.cat([tokens[chosen], ids_BC.gather(1, alive_BK).view(-1, 1)], dim=1)
        totals = scores_BC.gather(1, alive_BK)
        stepper.reorder(chosen)
    return [sorted(found, key=lambda hypothesis: -hypothesis.score) for found in finished]


class _Stepper:
    """The decoder, one column at a time, with its cache."""

    def __init__(
        self,
        model: EncoderDecoderForConditionalGeneration,
        source_BSD: Tensor,
        source_mask: Tensor | None,
        num_beams: int,
    ) -> None:
        self.model = model
        source = source_BSD.repeat_interleave(num_beams, dim=0)
        self.source = BaseModelOutput(last_hidden_state=source)
        self.mask = None if source_mask is None else source_mask.repeat_interleave(num_beams, 0)
        self.cache: Any = None

    def logits(self, tokens: Tensor) -> Tensor:
        """Return float32[B * K, V] after the last column."""
        output = self.model(
            encoder_outputs=self.source,
            attention_mask=self.mask,
            decoder_input_ids=tokens[:, -1:],
            past_key_values=self.cache,
            use_cache=True,
        )
        self.cache = output.past_key_values
        logits: Tensor = output.logits[:, -1].float()
        return logits

    def reorder(self, beams: Tensor) -> None:
        """Let each beam go on from the cache of another one of its sentence."""
        self.cache.reorder_cache(beams)


def _constrain(
    log_p: Tensor,
    tokens: Tensor,
    step: int,
    settings: BeamOptions,
    config: Any,
    prefix_ids: Tensor | None,
) -> Tensor:
    """Return the log-probabilities after every rule, in the order of the published program."""
    if config.pad_token_id not in (None, config.eos_token_id):
        log_p[:, config.pad_token_id] = NEVER
    if config.tokenizer_size is not None:
        log_p[:, config.tokenizer_size :] = NEVER
    if config.unk_token_id is not None:
        log_p[:, config.unk_token_id] -= settings.unknown_penalty
    if step == settings.max_length:
        ending = log_p[:, config.eos_token_id].clone()
        log_p = torch.full_like(log_p, NEVER)
        log_p[:, config.eos_token_id] = ending
    if prefix_ids is not None and step < min(prefix_ids.shape[1], settings.max_length):
        forced = prefix_ids[:, step].repeat_interleave(settings.num_beams)[:, None]
        forced_log_p = log_p.gather(1, forced)
        log_p = torch.full_like(log_p, float(forced_log_p.min() - 1)).scatter(
            1, forced, forced_log_p
        )
    elif step < settings.min_length:
        log_p[:, config.eos_token_id] = NEVER
    if settings.no_repeat_ngram_size:
        log_p = NoRepeatNGramLogitsProcessor(settings.no_repeat_ngram_size)(tokens, log_p)
    return log_p
