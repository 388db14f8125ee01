"""A GLM as a model that continues texts: transformers' `text-generation`.

A prompt goes on in a `[gMASK]` behind it, or is answered in the blank that it holds. What comes
back is the prompt as it was given and what was written, without the tokens that are read between.

Shapes: `B` rows, `T` tokens of the prompt.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig
from transformers.cache_utils import Cache
from transformers.generation import StoppingCriteria, StoppingCriteriaList
from transformers.utils.generic import can_return_tuple

from unblank.models.caches import count_cached
from unblank.models.glm.generation import BlankGenerationMixin
from unblank.models.glm.layout import span_start_id
from unblank.models.glm.modeling import GlmInfillForConditionalGeneration, GlmInfillOutput
from unblank.models.glm.part_a import part_a

__all__ = ["GlmInfillForCausalLM"]


class GlmInfillForCausalLM(GlmInfillForConditionalGeneration, BlankGenerationMixin):
    """A GLM that writes on where a prompt ends."""

    # transformers looks for the mixin among the bases of a class, not among theirs.

    def text_outputs(self, token_ids: Tensor) -> dict[str, Tensor]:
        """Return the logits of plain texts, read from both sides."""
        return {"logits": self.lm_head(self.model(token_ids).last_hidden_state)}

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        labels: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor | None = None,
        **kwargs: Any,
    ) -> GlmInfillOutput:
        """Return logits, as `GlmInfillForConditionalGeneration.forward` does without labels.

        Arguments as there; a prompt is laid out by `generate`.

        Raises:
            ValueError: labels, or a plain text, of which a GLM has no next tokens.
        """
        if labels is not None:
            raise ValueError(
                "labels do not train a GLM to continue texts token by token, as it reads a text "
                "from both sides: train with `unblank pretrain` or `unblank finetune`, or give a "
                "GlmInfillForConditionalGeneration labels that are aligned with its blanks' tokens"
            )
        if input_ids is not None and position_ids is None and not count_cached(past_key_values):
            _check_open_spans(input_ids, self.config)
        output: GlmInfillOutput = super().forward(
            input_ids, attention_mask=attention_mask, position_ids=position_ids,
            past_key_values=past_key_values, inputs_embeds=inputs_embeds, use_cache=use_cache,
            logits_to_keep=logits_to_keep, **kwargs,
        )  # fmt: skip
        return output

    def generate(
        self,
        inputs: Tensor | None = None,
        generation_config: GenerationConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return the prompts with what was written behind them, as transformers' `generate` does.

        An answer also ends where the model has no more positions.

        Args:
            inputs: int64[B, T], prompts, as a tokenizer gives them, each without a blank or with
                one; or `input_ids=`; None for an empty prompt. Rows that hold `[sop]`, embeddings,
                and prompts with positions are taken as they are.
            generation_config: how to decode; None for the model's own.
            **kwargs: of `GenerationMixin.generate`.

        Raises:
            ValueError: a prompt with several blanks.
        """
        token_ids = inputs if inputs is not None else kwargs.pop("input_ids", None)
        if token_ids is None and kwargs.get("inputs_embeds") is None:
            token_ids = torch.zeros((1, 0), dtype=torch.long, device=self.device)
        if token_ids is None or self._is_laid_out(token_ids, kwargs):
            return super().generate(token_ids, generation_config, **kwargs)
        read = part_a(token_ids, kwargs.pop("attention_mask", None), self.config, is_continued=True)
        _check_one_blank(read.is_blank)
        prompts, is_real = self._with_start(read.around(token_ids), read.is_real.long())
        room = prompts.shape[1] + self.config.max_position_embeddings - 1
        kwargs["stopping_criteria"] = StoppingCriteriaList(
            [*(kwargs.pop("stopping_criteria", None) or []), _NoMorePositions(room)]
        )
        made = super().generate(prompts, generation_config, attention_mask=is_real, **kwargs)
        sequences = made if isinstance(made, Tensor) else made.sequences
        given = token_ids.repeat_interleave(len(sequences) // len(token_ids), dim=0)
        continued = torch.cat([given.to(sequences), sequences[:, prompts.shape[1] :]], dim=1)
        if isinstance(made, Tensor):
            return continued
        made.sequences = continued
        return made

    def _is_laid_out(self, token_ids: Tensor, kwargs: dict[str, Any]) -> bool:
        names = ("position_ids", "prompt_positions", "past_key_values", "inputs_embeds")
        is_placed = any(kwargs.get(name) is not None for name in names)
        return is_placed or bool((token_ids == span_start_id(self.config)).any())


class _NoMorePositions(StoppingCriteria):
    """Ends answers at a number of columns: transformers' pipeline asks for 256 tokens of any model.

    Args:
        num_columns: those of the prompt, and as many as a span has positions.
    """

    def __init__(self, num_columns: int) -> None:
        self._num_columns = num_columns

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        is_full = input_ids.shape[1] >= self._num_columns
        return torch.full((len(input_ids),), is_full, device=input_ids.device)


def _check_open_spans(input_ids_BT: Tensor, config: Any) -> None:
    """Refuse texts without an open span: programs take their logits for those of next tokens."""
    if torch.compiler.is_compiling() or input_ids_BT.is_meta:
        return
    is_open_B = (input_ids_BT == span_start_id(config)).any(dim=1)
    if input_ids_BT.numel() and not bool(is_open_B.all()):
        row = int((~is_open_B).long().argmax())
        raise ValueError(
            f"row {row} of input_ids has no <|startofpiece|>, behind which a GLM writes: it reads "
            "a plain text from both sides, and has no chances of its next tokens. Continue texts "
            "with generate, and score them with unblank.load(folder).score, or in lm-eval with its "
            "model `unblank`"
        )


def _check_one_blank(is_blank_BT: Tensor) -> None:
    counts = is_blank_BT.sum(dim=1)
    if bool((counts > 1).any()):
        row = int((counts > 1).long().argmax())
        raise ValueError(
            f"prompt {row} has {int(counts[row])} blanks, but only one is answered here: fill "
            "several with unblank.load(folder).fill"
        )
