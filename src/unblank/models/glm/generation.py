"""How transformers' `generate` drives a GLM: two position rows, a prefix mask, no padded rows.

transformers counts columns, and cuts and extends that count in many places (beams, speculative
decoding, caches). So columns are what it is given as positions; each step translates those of its
tokens, from the positions of the prompt. `unblank.generation.infill` fills any number of blanks,
and is to be preferred.

Shapes: `B` rows, `T` prompt columns, `S` columns of a step.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig
from transformers.generation import LogitsProcessorList, SuppressTokensLogitsProcessor

from unblank.models.arguments import require_tokens
from unblank.models.generation import CheckedGenerationMixin
from unblank.models.glm.layout import blank_ids, blank_positions, span_start_id
from unblank.models.glm.part_a import special_ids_of

__all__ = ["BlankGenerationMixin"]


class BlankGenerationMixin(CheckedGenerationMixin):
    """The hooks of `generate` that a model with two position rows must answer itself."""

    def generate(
        self,
        inputs: Tensor | None = None,
        generation_config: GenerationConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return generated ids, as transformers' `generate`; a blank of each row is filled.

        Args:
            inputs: int64[B, T], texts with a blank; or `input_ids=`. `[sop]` is appended if no row
                has one. To continue from a cache, give the whole text, what was generated included.
            generation_config: how to decode; None for the model's own.
            **kwargs: of `GenerationMixin.generate`; `position_ids` as for `forward`.

        Raises:
            ValueError: no rows, a row without a blank, or some rows with `[sop]` and some without.
        """
        if kwargs.get("position_ids") is not None and "prompt_positions" not in kwargs:
            kwargs["prompt_positions"] = _prompt_positions(
                kwargs.pop("position_ids"), kwargs.pop("block_position_ids", None)
            )
        name = "inputs" if inputs is not None else "input_ids"
        token_ids = inputs if inputs is not None else kwargs.pop("input_ids", None)
        if token_ids is not None and kwargs.get("inputs_embeds") is None:
            require_tokens(token_ids, name)
        if token_ids is not None and "prompt_positions" not in kwargs:
            token_ids, mask = self._with_start(token_ids, kwargs.get("attention_mask"))
            kwargs["attention_mask"] = mask
        if token_ids is not None:
            kwargs[name] = token_ids
        return super().generate(generation_config=generation_config, **kwargs)

    def _with_start(self, token_ids: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return the texts and their mask with a column of `[sop]`, unless they have it already."""
        is_start = token_ids == span_start_id(self.config)
        if mask is not None and mask.shape == token_ids.shape:
            is_start &= mask.bool()
        if token_ids.numel() == 0 or bool(is_start.any()):
            return token_ids, mask
        start = torch.full_like(token_ids[:, :1], span_start_id(self.config))
        if mask is not None:
            mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
        return torch.cat([token_ids, start], dim=1), mask

    def _prepare_position_ids_for_generation(
        self, inputs_tensor: Tensor, model_kwargs: dict[str, Any]
    ) -> Tensor:
        """Return the columns, int64[B, T]; the steps are told where these stand."""
        if "prompt_positions" not in model_kwargs:
            token_ids = model_kwargs.get("input_ids")
            if token_ids is None or token_ids.shape[1] == 0:
                token_ids = inputs_tensor
            if token_ids.is_floating_point():
                known = (*blank_ids(self.config), span_start_id(self.config))
                token_ids = special_ids_of(token_ids, self.get_input_embeddings(), known)
            positions = blank_positions(token_ids, model_kwargs.get("attention_mask"), self.config)
            model_kwargs["prompt_positions"] = positions.transpose(0, 1)
        rows, tokens = inputs_tensor.shape[:2]
        return torch.arange(tokens, device=inputs_tensor.device).repeat(rows, 1)

    def prepare_inputs_for_generation(
        self,
        input_ids: Tensor,
        prompt_positions: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        is_first_iteration: bool | None = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Return the inputs of one step, the columns translated to positions.

        Args:
            input_ids: int64[B, T + generated].
            prompt_positions: int64[B, 2, T], positions of the prompt; None if `position_ids` among
                the other arguments are not columns.
            past_key_values: the cache.
            inputs_embeds: float[B, T, D], the prompt in place of its ids.
            is_first_iteration: whether this step reads the prompt.
            **kwargs: of transformers' method.

        Raises:
            ValueError: a step that reads a part of Part A.
        """
        inputs: dict[str, Any] = super().prepare_inputs_for_generation(
            input_ids, past_key_values=past_key_values, inputs_embeds=inputs_embeds,
            is_first_iteration=is_first_iteration, **kwargs,
        )  # fmt: skip
        if prompt_positions is None:
            return inputs
        columns = inputs["position_ids"]
        prefix_lengths = (prompt_positions[:, 1] == 0).sum(dim=1)
        if is_first_iteration and columns.shape[1] > 0:
            _check_prefix_is_whole(prefix_lengths, columns)
        inputs["position_ids"] = _translated(columns, prompt_positions)
        inputs["prefix_lengths"] = prefix_lengths
        return inputs

    def _get_logits_processor(
        self, generation_config: GenerationConfig, *args: Any, **kwargs: Any
    ) -> LogitsProcessorList:
        processors: LogitsProcessorList = super()._get_logits_processor(
            generation_config, *args, **kwargs
        )
        banned = self._never_generated()
        if banned:
            processors.append(SuppressTokensLogitsProcessor(banned, device=self.device))
        return processors

    def _never_generated(self) -> list[int]:
        """Padded rows of the embedding table, and special tokens that do not end a piece."""
        config = self.config
        ends = {config.eop_token_id, config.eos_token_id, None}
        names = ("pad", "cls", "sep", "unk", "mask", "smask", "gmask", "sop", "dblock")
        special = {getattr(config, f"{name}_token_id") for name in names} - ends
        padded_rows = range(config.tokenizer_size or config.vocab_size, config.vocab_size)
        return sorted(special) + list(padded_rows)

    def _stop_at_end_of_piece(self) -> None:
        ends = (self.config.eop_token_id, self.config.eos_token_id)
        self.generation_config.eos_token_id = [end for end in ends if end is not None] or None


def _prompt_positions(position_ids: Tensor, block_position_ids: Tensor | None) -> Tensor:
    """Return int64[B, 2, T] of positions as `forward` takes them."""
    if position_ids.dim() == 3:
        return position_ids.transpose(0, 1)
    if block_position_ids is None:
        raise ValueError(
            "position_ids without block_position_ids do not say where the blank is: give both, or "
            "leave both out and they are found from the blank"
        )
    return torch.stack([position_ids, block_position_ids], dim=1)


def _check_prefix_is_whole(prefix_lengths: Tensor, columns_BS: Tensor) -> None:
    first, last = int(columns_BS[:, 0].max()), int(columns_BS[:, -1].min())
    longest = int(prefix_lengths.max())
    if 0 < first < longest or last + 1 < longest:
        raise ValueError(
            "a GLM reads Part A, the text before <|startofpiece|>, in one step: "
            "continue only from a cache that holds all of it"
        )


def _translated(columns_BS: Tensor, prompt_B2T: Tensor) -> Tensor:
    """Return int64[2, B, S]: tokens after the prompt count on in the span of its last token."""
    last = prompt_B2T.shape[2] - 1
    known = columns_BS.clamp(max=last)[:, None].expand(-1, 2, -1)
    positions_2BS = prompt_B2T.gather(2, known).transpose(0, 1)
    beyond_BS = (columns_BS - last).clamp(min=0)
    return positions_2BS + torch.stack([torch.zeros_like(beyond_BS), beyond_BS])
