"""GLM as a transformers model: the Transformer, and the tied head that fills blanks.

What is visible to whom can be given in three ways, see `GlmInfillModel.forward`. Labels are aligned
(the label of a position is the token predicted there), and with labels only the scored positions
reach the head.

Shapes: `B` rows, `T` tokens, `S` cached plus new tokens, `D` width, `V` vocabulary, `N` scored.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache, DynamicCache
from transformers.modeling_outputs import BaseModelOutputWithPast
from transformers.utils import ModelOutput
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from unblank.models.arguments import check_rest, given_tokens
from unblank.models.attention import prepare_mask, warn_without_weights
from unblank.models.caches import count_cached
from unblank.models.glm.configuration import GlmInfillConfig
from unblank.models.glm.generation import BlankGenerationMixin
from unblank.models.glm.inputs import both_positions, visibility
from unblank.models.initialization import GLM_STACK, draw_weights
from unblank.models.kept_logits import columns_to_compute, kept_columns
from unblank.models.layers import SelfAttention, TransformerLayer, compute_dtype
from unblank.models.loss import loss_per_item, token_loss
from unblank.models.masks import queries_only, with_prompt_keys
from unblank.models.positions import check_positions
from unblank.models.pretrained import InfillPreTrainedModel

__all__ = [
    "GlmInfillForConditionalGeneration",
    "GlmInfillModel",
    "GlmInfillOutput",
    "GlmInfillPreTrainedModel",
    "GlmInfillWithHead",
]

_PEFT_PROMPT_NAME = "embeddings.word_embeddings"
"""The attribute in which PEFT's prompt methods look for the word embedding first."""


@dataclass
class GlmInfillOutput(ModelOutput):
    """Output of the language model.

    Attributes:
        loss: float32 scalar, mean over scored positions; None without labels.
        logits: float[B, T, V]; None in training with labels, unless asked for.
        past_key_values: the cache.
        hidden_states: float[B, T, D] of the embeddings and of every layer, on request.
        attentions: float[B, H, T, S] of every layer, on request.
        loss_sum: float32 scalar, summed over scored positions; None without labels.
        num_scored: int64 scalar, the number of scored positions; None without labels.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: Cache | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    loss_sum: Tensor | None = None
    num_scored: Tensor | None = None


class GlmInfillPreTrainedModel(InfillPreTrainedModel):
    """Weights, initialisation and the transformers contract of every GLM."""

    config: GlmInfillConfig
    _no_split_modules: list[str] = ["TransformerLayer"]
    _supports_context_parallel = False
    _can_record_outputs: dict[str, Any] = {
        "hidden_states": TransformerLayer,
        "attentions": SelfAttention,
    }

    def get_submodule(self, target: str) -> nn.Module:
        """Return the module of that name.

        Raises:
            ValueError: for the name that PEFT's prompt methods, and only they, ask a model for:
                they would train a GLM on wrong positions and a wrong mask.
        """
        if target == _PEFT_PROMPT_NAME:
            raise ValueError(
                "PEFT's prompt methods (prompt tuning, P-tuning, prefix tuning) do not work with "
                "a GLM: they add vectors without positions in its two rows or a place in its "
                "mask, and would silently train another model. Use `unblank finetune --method "
                "prompt` or `deep-prompt`, or PEFT's LoRA"
            )
        module: nn.Module = super().get_submodule(target)
        return module

    def text_outputs(self, token_ids: Tensor) -> dict[str, Tensor]:
        """Return by name what the model gives for plain texts: all that weights can change.

        Args:
            token_ids: int64[B, T], without padding.
        """
        output = self(input_ids=token_ids)
        if "logits" in output:
            return {"logits": output.logits}
        return {"hidden states": output.last_hidden_state}

    def _init_weights(self, module: nn.Module) -> None:
        draw_weights(module, GLM_STACK, self.config)


class GlmInfillModel(GlmInfillPreTrainedModel):
    """The Transformer without a head."""

    def __init__(self, config: GlmInfillConfig) -> None:
        super().__init__(config)
        rows = config.max_position_embeddings + 1
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.embed_positions = nn.Embedding(rows, config.hidden_size)
        if config.block_position_encoding:
            self.embed_block_positions = nn.Embedding(rows, config.hidden_size)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.layers = nn.ModuleList(
            TransformerLayer(config, layer_idx) for layer_idx in range(config.num_hidden_layers)
        )
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.soft_prompt: nn.Module | None = None  # trained vectors for ids of its own
        self.num_prompt_keys = 0  # of the deep prompt that every layer then has
        self.gradient_checkpointing = False
        self.post_init()

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        prefix_lengths: Tensor | None = None,
        segment_ids: Tensor | None = None,
        is_prefix: Tensor | None = None,
        branch_ends: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_columns: Tensor | None = None,
        block_position_ids: Tensor | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPast:
        """Return the hidden states of new tokens.

        What is visible is given by exactly one of: `prefix_lengths` (one example a row, with an
        optional 2-D `attention_mask`), `segment_ids` and `is_prefix` (packed rows), or a ready 4-D
        `attention_mask`. With a cache, new tokens see all cached real tokens and are causal among
        themselves, or as a 4-D mask says. With none of them all tokens are visible to all.

        Args:
            input_ids: int64[B, T].
            attention_mask: [B, S], non-zero on real tokens, or bool/0-1 [B, 1, T, S].
            position_ids: int64[2, B, T], position in Part A and in the span; or int64[B, T], the
                first of them. None counts the real tokens of an encoder, 0.., by a 2-D
                `attention_mask`; the second are 0.
            prefix_lengths: int64[B], columns before it are Part A; 0 is causal, T bidirectional.
            segment_ids: int64[B, T], packed examples 1, 2, ...; 0 is padding.
            is_prefix: bool[B, T], True on Part A.
            branch_ends: int64[B, T], see `unblank.models.masks`.
            past_key_values: cache of earlier tokens.
            inputs_embeds: float[B, T, D], in place of `input_ids`.
            use_cache: whether to return a cache.
            output_columns: int64[B, Q], the new tokens whose states are wanted; the last layer
                leaves out the others. None for all.
            block_position_ids: int64[B, T], position in the span beside a two-dimensional
                `position_ids`, for what splits batches along their first dimension; None for 0.
            **kwargs: `output_hidden_states`, `output_attentions` and `return_dict`.

        Raises:
            TypeError: an argument that the model does not have.
            ValueError: visibility or positions given twice or incompletely, wrong shapes, positions
                that the model does not have, or a static cache.
        """
        check_rest(kwargs)
        given_tokens(input_ids, inputs_embeds)
        if inputs_embeds is None:
            inputs_embeds = self._embed(input_ids)
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        num_cached = count_cached(past_key_values)
        if num_cached and position_ids is None:
            raise ValueError(
                "with past_key_values, give position_ids: a cache does not say which blank its new "
                "tokens fill"
            )
        visible = visibility(
            inputs_embeds, num_cached, attention_mask, prefix_lengths,
            segment_ids, is_prefix, branch_ends,
        )  # fmt: skip
        visible = with_prompt_keys(visible, self.num_prompt_keys)
        dtype, implementation = compute_dtype(self), self.config._attn_implementation
        warn_without_weights(kwargs.get("output_attentions"), implementation)
        mask = prepare_mask(visible, dtype, implementation)
        positions = both_positions(inputs_embeds, attention_mask, position_ids, block_position_ids)
        placed_BTD = self._placed(positions)
        hidden_BTD = self.dropout(inputs_embeds + placed_BTD)
        for layer in self.layers[:-1]:
            hidden_BTD = layer(hidden_BTD, mask, past_key_values)
        if output_columns is not None:
            mask = prepare_mask(queries_only(visible, output_columns), dtype, implementation)
        hidden_BTD = self.layers[-1](hidden_BTD, mask, past_key_values, output_columns)
        return BaseModelOutputWithPast(
            last_hidden_state=self.norm(hidden_BTD),
            past_key_values=past_key_values if use_cache else None,
        )

    def _embed(self, input_ids: Tensor | None) -> Tensor:
        if self.soft_prompt is None:
            embedded: Tensor = self.embed_tokens(input_ids)
        else:
            embedded = self.soft_prompt(input_ids, self.embed_tokens)
        return embedded

    def _placed(self, position_ids: Tensor) -> Tensor:
        check_positions(position_ids, self.embed_positions, self.config.max_position_embeddings)
        positions: Tensor = self.embed_positions(position_ids[0])
        if self.config.block_position_encoding:
            positions = positions + self.embed_block_positions(position_ids[1])
        return positions


class GlmInfillWithHead(GlmInfillPreTrainedModel):
    """A GLM with its output head, tied to the token embedding; subclasses define `forward`."""

    _tied_weights_keys: dict[str, str] = {"lm_head.weight": "model.embed_tokens.weight"}
    # Labels are aligned; transformers would pick a shifted loss from the class name.
    loss_type = "ForMaskedLM"

    def __init__(self, config: GlmInfillConfig) -> None:
        super().__init__(config)
        self.model = GlmInfillModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()


class GlmInfillForConditionalGeneration(BlankGenerationMixin, GlmInfillWithHead):
    """GLM with its tied output head: trains, scores candidates, fills blanks, generates."""

    def __init__(self, config: GlmInfillConfig) -> None:
        super().__init__(config)
        self._stop_at_end_of_piece()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        prefix_lengths: Tensor | None = None,
        segment_ids: Tensor | None = None,
        is_prefix: Tensor | None = None,
        branch_ends: Tensor | None = None,
        labels: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor | None = None,
        smoothing: float = 0.0,
        sampled_softmax: int = 0,
        block_position_ids: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        return_logits: bool | None = None,
        **kwargs: Any,
    ) -> GlmInfillOutput:
        """Return loss or logits; arguments not named here as for `GlmInfillModel.forward`.

        Args:
            input_ids: int64[B, T].
            attention_mask: [B, S] or [B, 1, T, S].
            position_ids: int64[2, B, T], or int64[B, T].
            prefix_lengths: int64[B].
            segment_ids: int64[B, T].
            is_prefix: bool[B, T].
            branch_ends: int64[B, T].
            labels: int64[B, T], aligned, -100 where not scored.
            past_key_values: cache of earlier tokens.
            inputs_embeds: float[B, T, D].
            use_cache: whether to return a cache.
            logits_to_keep: logits of that many last columns, 0 or None for all; or int64[Q], the
                columns.
            smoothing: of labels, weight of the uniform distribution over all V rows, in [0, 1).
            sampled_softmax: rows of the vocabulary from which the loss is estimated, without
                smoothing; 0 is all of them.
            block_position_ids: int64[B, T].
            num_items_in_batch: scored positions of a whole step, by which the summed loss is
                divided; None for those of this call.
            return_logits: None leaves them out in training with labels, where they would cost most
                of a small model's time, unless `logits_to_keep` asks for them.
            **kwargs: passed to `GlmInfillModel.forward`.

        Raises:
            TypeError, ValueError: as for `GlmInfillModel.forward`.
        """
        if labels is not None and use_cache is None:
            use_cache = False
        tokens = given_tokens(input_ids, inputs_embeds)
        if return_logits is None:
            return_logits = labels is None or logits_to_keep is not None or not self.training
        is_all = (labels is not None and torch.compiler.is_compiling()) or any(
            kwargs.get(name, getattr(self.config, name))
            for name in ("output_hidden_states", "output_attentions")
        )
        is_some = isinstance(logits_to_keep, Tensor) or bool(logits_to_keep)
        if return_logits and (labels is not None or not is_some):
            is_all = True
        columns = None if is_all else columns_to_compute(tokens.shape[1], labels, logits_to_keep)
        if columns is not None:
            columns = columns.to(tokens.device).expand(tokens.shape[0], -1)
        outputs = self.model(
            input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids,
            prefix_lengths=prefix_lengths, segment_ids=segment_ids, is_prefix=is_prefix,
            branch_ends=branch_ends, past_key_values=past_key_values, inputs_embeds=inputs_embeds,
            use_cache=use_cache, output_columns=columns, block_position_ids=block_position_ids,
            **kwargs,
        )  # fmt: skip
        hidden_BTD = outputs.last_hidden_state
        loss_sum, num_scored, logits = None, None, None
        if labels is not None:
            kept_labels = labels if columns is None else labels.gather(1, columns)
            loss_sum, num_scored = token_loss(
                hidden_BTD, self.lm_head.weight, kept_labels, smoothing, sampled_softmax
            )
        if return_logits:
            # Chosen columns are those that the last layer computed, unless it computed all.
            is_kept = columns is not None
            kept = hidden_BTD if is_kept else hidden_BTD[:, kept_columns(logits_to_keep)]
            logits = self.lm_head(kept)
        return GlmInfillOutput(
            loss=loss_per_item(loss_sum, num_scored, num_items_in_batch),
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            loss_sum=loss_sum,
            num_scored=num_scored,
        )
