"""How transformers' `generate` drives a GLM: two position rows, a prefix mask, no padded rows.

`generate` serves one blank a row: Part A ends in `[sop]` and the tokens of the blank follow.
`unblank.generation.fill` serves any number of blanks and is the better door.

Shapes: `B` rows, `T` prompt columns.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import GenerationMixin
from transformers.generation import LogitsProcessorList, SuppressTokensLogitsProcessor

__all__ = ["BlankGenerationMixin"]


class BlankGenerationMixin(GenerationMixin):
    """The hooks of `generate` that a model with two position rows must answer itself."""

    def prepare_inputs_for_generation(
        self,
        input_ids: Tensor,
        next_sequence_length: int | None = None,
        past_key_values: Any = None,
        attention_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Return the inputs of one step: the new columns, their positions and the padding mask."""
        position_ids = kwargs["position_ids"]
        # Part A is what comes before the first token inside a span, left padding included.
        prefix_lengths = (position_ids[1] == 0).sum(dim=1)
        if next_sequence_length is not None:
            input_ids = input_ids[:, -next_sequence_length:]
        return {
            "input_ids": input_ids,
            "position_ids": position_ids[..., -input_ids.shape[1] :],
            "attention_mask": attention_mask,
            "prefix_lengths": prefix_lengths,
            "past_key_values": past_key_values,
            "use_cache": kwargs.get("use_cache"),
            "logits_to_keep": 1,
        }

    def _prepare_position_ids_for_generation(
        self, inputs_tensor: Tensor, model_kwargs: dict[str, Any]
    ) -> Tensor:
        """Part A counts its real tokens; `[sop]`, the last column, stands at its blank."""
        is_real = model_kwargs.get("attention_mask")
        if is_real is None:
            is_real = torch.ones_like(inputs_tensor)
        columns = (is_real.long().cumsum(-1) - 1).clamp(min=0)
        blanks = torch.tensor(self._blank_ids(), device=inputs_tensor.device)
        is_blank = torch.isin(inputs_tensor, blanks) & is_real.bool()
        if not bool(is_blank.any(dim=1).all()):
            raise ValueError(
                "generate needs a blank ([MASK], [sMASK] or [gMASK]) in every row, and "
                "<|startofpiece|> as the last token"
            )
        first_blank = is_blank.long().argmax(dim=1, keepdim=True)
        columns[:, -1:] = columns.gather(1, first_blank)
        in_span = torch.zeros_like(columns)
        in_span[:, -1] = 1
        return torch.stack([columns, in_span])

    def _expand_inputs_for_generation(
        self,
        expand_size: int = 1,
        is_encoder_decoder: bool = False,
        input_ids: Tensor | None = None,
        **model_kwargs: Any,
    ) -> tuple[Tensor | None, dict[str, Any]]:
        """Repeat rows for beams: those of the positions lie along their second dimension."""
        position_ids = model_kwargs.pop("position_ids")
        input_ids, model_kwargs = super()._expand_inputs_for_generation(
            expand_size, is_encoder_decoder, input_ids, **model_kwargs
        )
        model_kwargs["position_ids"] = position_ids.repeat_interleave(expand_size, dim=1)
        return input_ids, model_kwargs

    def _update_model_kwargs_for_generation(
        self,
        outputs: Any,
        model_kwargs: dict[str, Any],
        is_encoder_decoder: bool = False,
        num_new_tokens: int = 1,
    ) -> dict[str, Any]:
        """Later tokens keep the position of the blank and count on inside the span."""
        position_ids = model_kwargs.pop("position_ids")
        model_kwargs = super()._update_model_kwargs_for_generation(
            outputs, model_kwargs, is_encoder_decoder, num_new_tokens
        )
        steps = torch.arange(1, num_new_tokens + 1, device=position_ids.device)
        last = position_ids[..., -1:]
        following = torch.stack([last[0].expand(-1, num_new_tokens), last[1] + steps])
        model_kwargs["position_ids"] = torch.cat([position_ids, following], dim=-1)
        return model_kwargs

    def _get_logits_processor(self, *args: Any, **kwargs: Any) -> LogitsProcessorList:
        processors: LogitsProcessorList = super()._get_logits_processor(*args, **kwargs)
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

    def _blank_ids(self) -> list[int]:
        config = self.config
        ids = (config.mask_token_id, config.smask_token_id, config.gmask_token_id)
        return [token_id for token_id in ids if token_id is not None]

    def _stop_at_end_of_piece(self) -> None:
        ends = (self.config.eop_token_id, self.config.eos_token_id)
        self.generation_config.eos_token_id = [end for end in ends if end is not None] or None
