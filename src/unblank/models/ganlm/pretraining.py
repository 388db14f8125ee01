"""GanLM with its discriminator: pretraining, and fine-tuning with the discriminator's help.

Shapes: `B` rows, `T` target tokens, `S` source tokens, `D` width, `N` content positions.
"""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import GenerationMixin
from transformers.activations import ACT2FN
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput, Seq2SeqModelOutput
from transformers.utils.generic import can_return_tuple

from unblank.examples import IGNORE_INDEX
from unblank.models.encoder_decoder import Decoder, Seq2SeqOutput
from unblank.models.encoder_decoder.seq2seq import decoder_inputs
from unblank.models.encoder_decoder.stacks import real_tokens
from unblank.models.ganlm.configuration import GanLMConfig
from unblank.models.ganlm.losses import (
    DenoisingRule,
    at_chosen,
    content_ids,
    content_positions,
    detection_rates,
    discriminator_inputs,
    discriminator_loss_sum,
    noise_positions,
    put_back,
    sample_tokens,
    with_noise,
)
from unblank.models.ganlm.modeling import GanLMForConditionalGeneration
from unblank.models.ganlm.sentences import full_sentences
from unblank.models.loss import token_loss

__all__ = ["GanLMForPreTraining", "GanLMPreTrainingOutput"]


@dataclass
class GanLMPreTrainingOutput(Seq2SeqOutput):
    """Output of one step of GanLM's objective; fields not named here as in `Seq2SeqOutput`.

    Attributes:
        loss: float32 scalar, the weighted sum of the three losses per token.
        logits: float[B, T, V], of the generator; None in training, unless asked for.
        losses: "generator", "discriminator", "denoising" -> (float32 sum, int64 count); losses of
            weight 0 are left out. A mean over ranks and micro-batches is sum of sums / sum of
            counts, which also re-scales the discriminator's to the other two.
        rates: "replaced_rate", "replaced_accuracy", "original_accuracy",
            "positive_inconsistency_rate", "negative_inconsistency_rate" -> (hits, out of).
        discriminator_input_ids: int64[B, T], what the discriminator read ([B, F] of sentences).
        denoising_input_ids: int64[B, T], the disturbed decoder input.
    """

    losses: dict[str, tuple[Tensor, Tensor]] | None = None
    rates: dict[str, tuple[Tensor, Tensor]] | None = None
    discriminator_input_ids: Tensor | None = None
    denoising_input_ids: Tensor | None = None


class _Discriminator(nn.Module):
    """A bidirectional decoder, unless shared with the generator, and a head of two classes."""

    def __init__(self, config: GanLMConfig) -> None:
        super().__init__()
        self.decoder: Decoder | None = None
        if not config.share_generator_discriminator:
            dropout = config.discriminator_dropout
            self.decoder = Decoder(config, config.discriminator_layers, dropout, dropout)
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = ACT2FN[config.hidden_act]
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.out_proj = nn.Linear(config.hidden_size, 2)

    def forward(self, hidden_ND: Tensor) -> Tensor:
        """Return the scores of "replaced" and "original", [N, 2]."""
        logits_N2: Tensor = self.out_proj(self.norm(self.activation(self.dense(hidden_ND))))
        return logits_N2


class GanLMForPreTraining(GanLMForConditionalGeneration, GenerationMixin):
    """Generator and discriminator: pretraining, and fine-tuning with the discriminator's help."""

    _keys_to_ignore_on_load_unexpected: list[str] = []
    # The discriminator's loss has a count of its own, which no trainer knows beforehand.
    accepts_loss_kwargs = False

    def __init__(self, config: GanLMConfig) -> None:
        super().__init__(config)
        self.discriminator = _Discriminator(config)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        labels: Tensor | None = None,
        discriminator_weight: float = 10.0,
        denoising_weight: float = 1.0,
        denoising_rule: DenoisingRule = "errors",
        discriminator_reads: Literal["target", "sentence"] = "target",
        temperature: float = 1.0,
        smoothing: float = 0.0,
        generator: torch.Generator | None = None,
        sampled_ids: Tensor | None = None,
        resampled_ids: Tensor | None = None,
        return_logits: bool | None = None,
        encoder_outputs: BaseModelOutput | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return the three losses of GanLM; without labels, logits like the generator alone.

        Args:
            input_ids: int64[B, S], the source.
            attention_mask: [B, S], non-zero on real tokens.
            decoder_input_ids: int64[B, T]; None shifts the labels right.
            labels: int64[B, T], aligned, -100 on padding only.
            discriminator_weight: lambda; 10 in pretraining and 5 in fine-tuning as published.
            denoising_weight: weight of the denoising loss; a loss of weight 0 is not computed.
            denoising_rule: see `unblank.models.ganlm.losses.DenoisingRule`.
            discriminator_reads: "target" is the sampled spans between sentinels (the published
                program), "sentence" the whole source with these samples in its blanks (the paper's
                wording). Either way sampled tokens are judged.
            temperature: of the sampling.
            smoothing: of labels, in generator and denoising loss, over all V rows, in [0, 1).
            generator: source of the samples; None for torch's own.
            sampled_ids: int64[B, T], in place of the first draw.
            resampled_ids: int64[B, T], in place of the second draw.
            return_logits: None leaves the generator's logits out in training.
            encoder_outputs: of an earlier call.
            **kwargs: passed to the generator.
        """
        kwargs["encoder_outputs"] = encoder_outputs
        if labels is None:
            return super().forward(
                input_ids, attention_mask, decoder_input_ids, return_logits=return_logits, **kwargs
            )
        if decoder_input_ids is None:
            decoder_input_ids = decoder_inputs(labels, self.config)
        if input_ids is not None:
            attention_mask = real_tokens(input_ids, attention_mask, self.config)
        outputs = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            decoder_input_ids=decoder_input_ids,
            **kwargs | {"use_cache": self._reads_the_source_again(denoising_weight)},
        )
        hidden_BTD, source_BSD = outputs.last_hidden_state, outputs.encoder_last_hidden_state
        table_VD = self.lm_head.weight
        losses = {"generator": token_loss(hidden_BTD, table_VD, labels, smoothing)}
        weights = {"generator": 1.0}
        rates: dict[str, tuple[Tensor, Tensor]] = {}
        judged_ids, noisy_ids = None, None
        if discriminator_weight or denoising_weight:
            draw = _Draw(hidden_BTD.detach(), self.lm_head.weight, generator, temperature)
            sentence = None
            if discriminator_reads == "sentence":
                sentence = _sentence(input_ids, attention_mask, decoder_input_ids)
            detection = self._detect(
                labels, draw, sampled_ids, source_BSD, attention_mask, sentence
            )
            losses["discriminator"] = detection.loss_sum, detection.is_content.sum()
            weights["discriminator"] = discriminator_weight
            rates, judged_ids = detection.rates, detection.input_ids
        if denoising_weight:
            noisy_ids, inconsistency = self._noisy_inputs(
                labels, decoder_input_ids, detection, denoising_rule, draw, resampled_ids
            )
            noisy_BTD = self._read_again(noisy_ids, outputs, attention_mask)
            losses["denoising"] = token_loss(noisy_BTD, table_VD, labels, smoothing)
            weights["denoising"] = denoising_weight
            rates = detection.rates | inconsistency
        terms = [weights[name] * total / n.clamp(min=1) for name, (total, n) in losses.items()]
        if return_logits is None:
            return_logits = not self.training
        return GanLMPreTrainingOutput(
            loss=torch.stack(terms).sum(),
            logits=self.lm_head(hidden_BTD) if return_logits else None,
            **_states(outputs),
            losses=losses,
            rates=rates,
            discriminator_input_ids=judged_ids,
            denoising_input_ids=noisy_ids,
        )

    def writer(
        self, branch: Literal["generator", "discriminator"]
    ) -> GanLMForConditionalGeneration:
        """Return copies of the encoder and of one decoder as a model that writes (section 3).

        As in the published program a discriminator then reads causally and has the embedding table
        as its output instead of the head that judges. Its dropout becomes the generator's.
        """
        config = deepcopy(self.config)
        decoder = self.model.decoder
        if branch == "discriminator":
            config.decoder_layers = config.discriminator_layers
            decoder = self.discriminator.decoder or decoder
        writer = GanLMForConditionalGeneration(config)
        writer.model.encoder.load_state_dict(self.model.encoder.state_dict())
        weights, own = decoder.state_dict(), writer.model.decoder
        own.load_state_dict({name: weights[name] for name in own.state_dict()})
        return writer

    def _read_again(
        self, decoder_input_ids: Tensor, outputs: Seq2SeqModelOutput, source_mask: Tensor | None
    ) -> Tensor:
        """Return the decoder's states over another target of the same source, float[B, T, D]."""
        hidden_BTD: Tensor = self.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=outputs.encoder_last_hidden_state),
            attention_mask=source_mask,
            decoder_input_ids=decoder_input_ids,
            past_key_values=_source_only(outputs.past_key_values),
            use_cache=False,
        ).last_hidden_state
        return hidden_BTD

    def _reads_the_source_again(self, denoising_weight: float) -> bool:
        """Return whether the source's keys and values are kept for a second pass over it.

        Not where activations are checkpointed: layers that are recomputed must not see a cache.
        """
        decoder = self.model.decoder
        return denoising_weight > 0 and not (decoder.gradient_checkpointing and self.training)

    def _detect(
        self,
        labels_BT: Tensor,
        draw: "_Draw",
        sampled_BT: Tensor | None,
        source_BSD: Tensor,
        source_mask: Tensor | None,
        sentence: tuple[Tensor, Tensor, Tensor] | None,
    ) -> "_Detection":
        config = self.config
        is_content_V = content_ids(
            config.vocab_size, config.first_special_id, config.sentinel_token_ids, labels_BT.device
        )
        is_content = content_positions(labels_BT, is_content_V)
        if sampled_BT is None:
            sampled_BT = draw.at(is_content)
        filler = config.pad_token_id or 0
        if sentence is None:
            input_ids = discriminator_inputs(labels_BT, sampled_BT, is_content, filler)
            is_real = labels_BT != IGNORE_INDEX
            judged_BTD = self.judge(input_ids, is_real, source_BSD, source_mask)
            judged_ND = at_chosen(judged_BTD, is_content)
        else:
            input_ids, is_real, column_BT = full_sentences(
                *sentence,
                labels_BT,
                sampled_BT,
                is_content_V,
                config.decoder_start_token_id,
                filler,
            )
            judged_BFD = self.judge(input_ids, is_real, source_BSD, source_mask)
            # Elsewhere the column is F, which there is not, and what is taken does not count.
            column_BT = column_BT.clamp(max=judged_BFD.shape[1] - 1)
            place_BTD = column_BT[:, :, None].expand(-1, -1, judged_BFD.shape[2])
            judged_ND = at_chosen(judged_BFD.gather(1, place_BTD), is_content)
        logits_N2 = self.discriminator(judged_ND)
        is_original_N = at_chosen(sampled_BT == labels_BT, is_content)
        judged_original_N = logits_N2[:, 1] >= logits_N2[:, 0]
        counts_N = at_chosen(is_content, is_content)
        return _Detection(
            input_ids=input_ids,
            sampled_ids=sampled_BT,
            is_content=is_content,
            is_content_V=is_content_V,
            judged_original=put_back(judged_original_N, is_content, torch.zeros_like(is_content)),
            loss_sum=discriminator_loss_sum(logits_N2, is_original_N, counts_N),
            rates=detection_rates(is_original_N, judged_original_N, counts_N),
        )

    def judge(
        self,
        input_ids: Tensor,
        is_real: Tensor | None,
        source_BSD: Tensor,
        source_mask: Tensor | None,
    ) -> Tensor:
        """Return the discriminator's last hidden states over a whole target, float[B, T, D].

        Args:
            input_ids: int64[B, T], from `discriminator_inputs`.
            is_real: bool[B, T], False on padding; None if all are real.
            source_BSD: states of the encoder.
            source_mask: [B, S], non-zero on real source tokens; None if all are real.
        """
        decoder = self.discriminator.decoder
        hidden_BTD: Tensor = (self.model.decoder if decoder is None else decoder)(
            inputs_embeds=self.model.encoder.embed_tokens(input_ids),
            encoder_hidden_states=source_BSD,
            attention_mask=is_real,
            encoder_attention_mask=source_mask,
            use_cache=False,
            is_bidirectional=True,
            num_layers=self.config.discriminator_layers,
        ).last_hidden_state
        return hidden_BTD

    def discriminator_logits(self, input_ids: Tensor, decoder_input_ids: Tensor) -> Tensor:
        """Return the scores of "replaced" and "original" of every target token, float[B, T, 2].

        Args:
            input_ids: int64[B, S], the source.
            decoder_input_ids: int64[B, T], the target as the discriminator reads it, not shifted.
        """
        source_mask = real_tokens(input_ids, None, self.config)
        source_BSD = self.model.encoder(input_ids, source_mask).last_hidden_state
        is_real = real_tokens(decoder_input_ids, None, self.config)
        judged_BTD = self.judge(decoder_input_ids, is_real, source_BSD, source_mask)
        logits_BT2: Tensor = self.discriminator(judged_BTD)
        return logits_BT2

    def _noisy_inputs(
        self,
        labels_BT: Tensor,
        decoder_input_ids_BT: Tensor,
        detection: "_Detection",
        rule: DenoisingRule,
        draw: "_Draw",
        resampled_BT: Tensor | None,
    ) -> tuple[Tensor, dict[str, tuple[Tensor, Tensor]]]:
        with_sample, with_other = noise_positions(
            labels_BT,
            detection.sampled_ids,
            detection.judged_original,
            detection.is_content_V,
            rule,
        )
        if resampled_BT is None:
            resampled_BT = draw.at(with_other, excluded_BT=labels_BT)
        noise_BT = torch.where(with_other, resampled_BT, detection.sampled_ids)
        noisy_ids = with_noise(decoder_input_ids_BT, noise_BT, with_sample | with_other)
        num_scored = (labels_BT != IGNORE_INDEX).sum()
        return noisy_ids, {
            "positive_inconsistency_rate": (with_other.sum(), num_scored),
            "negative_inconsistency_rate": (with_sample.sum(), num_scored),
        }


def _states(outputs: Seq2SeqModelOutput) -> dict[str, Any]:
    """Return all that an output of the model says beside its last states and its cache."""
    left_out = ("last_hidden_state", "past_key_values")
    return {name: value for name, value in outputs.items() if name not in left_out}


def _source_only(cache: EncoderDecoderCache | None) -> EncoderDecoderCache | None:
    """Return a cache of the same source, before the first target token."""
    if cache is None:
        return None
    return EncoderDecoderCache(DynamicCache(), cache.cross_attention_cache)


def _sentence(
    input_ids: Tensor | None, source_mask: Tensor | None, decoder_input_ids: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the first arguments of `full_sentences`."""
    if input_ids is None:
        raise ValueError("discriminator_reads 'sentence' needs the source: give input_ids")
    is_source = torch.ones_like(input_ids) if source_mask is None else source_mask
    return input_ids, is_source.bool(), decoder_input_ids


@dataclass(frozen=True, slots=True)
class _Detection:
    """What the discriminator read, said and cost; `is_content_V` is from `content_ids`."""

    input_ids: Tensor
    sampled_ids: Tensor
    is_content: Tensor
    is_content_V: Tensor
    judged_original: Tensor
    loss_sum: Tensor
    rates: dict[str, tuple[Tensor, Tensor]]


@dataclass(frozen=True, slots=True)
class _Draw:
    """The generator's distribution at every position, never held as a whole."""

    hidden_BTD: Tensor
    weight_VD: Tensor
    generator: torch.Generator | None
    temperature: float

    def at(self, chosen_BT: Tensor, excluded_BT: Tensor | None = None) -> Tensor:
        """Return int64[B, T]: a token drawn where chosen, 0 elsewhere."""
        excluded_N = None
        if excluded_BT is not None:  # -100 is not chosen, and is no token either
            excluded_N = at_chosen(excluded_BT, chosen_BT).clamp(min=0)
        hidden_ND = at_chosen(self.hidden_BTD, chosen_BT)
        drawn_N = sample_tokens(
            hidden_ND, self.weight_VD, self.generator, self.temperature, excluded_N
        )
        return put_back(drawn_N, chosen_BT, torch.zeros_like(chosen_BT, dtype=torch.long))
