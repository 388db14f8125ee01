"""Which attention a model of ours may be loaded with: what cannot compute it is refused at once."""

from typing import Any

from transformers import PreTrainedModel

from unblank.models.attention import check_implementation

__all__ = ["WithCheckedAttention"]


class WithCheckedAttention(PreTrainedModel):
    """A model that checks `attn_implementation` when it is made, loaded and changed."""

    def _check_and_adjust_attn_implementation(
        self, attn_implementation: str | None, *args: Any, **kwargs: Any
    ) -> str:
        if attn_implementation is not None:
            check_implementation(attn_implementation, self.config)
        chosen: str = super()._check_and_adjust_attn_implementation(
            attn_implementation, *args, **kwargs
        )
        return chosen
