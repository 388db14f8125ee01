"""The base class of all models: what transformers may do with them, and the card of a folder."""

from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from unblank.model_card import write_card
from unblank.models.attention import check_implementation

__all__ = ["InfillPreTrainedModel"]


class InfillPreTrainedModel(PreTrainedModel):
    """A model with our attention; its folder gets a `README.md` unless a person has written one."""

    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _skip_keys_device_placement: list[str] = ["past_key_values"]
    _supports_sdpa = True
    _supports_flex_attn = True
    # Flash attention drops mask functions: a prefix mask would silently become causal. What can
    # use its kernels reaches them through sdpa.
    _supports_flash_attn = False

    def save_pretrained(
        self, save_directory: Any, is_main_process: bool = True, **kwargs: Any
    ) -> None:
        """Save the model as transformers does, and write a card beside it.

        Args:
            save_directory: the folder.
            is_main_process: whether this process writes.
            **kwargs: of `PreTrainedModel.save_pretrained`.
        """
        folder, origin = Path(save_directory), self.name_or_path
        if origin and Path(origin).resolve() == folder.resolve():
            origin = ""
        super().save_pretrained(save_directory, is_main_process=is_main_process, **kwargs)
        if is_main_process:
            write_card(folder, {"source": {"path": origin}})

    def _check_and_adjust_attn_implementation(
        self, attn_implementation: str | None, *args: Any, **kwargs: Any
    ) -> str:
        if attn_implementation is not None:
            check_implementation(attn_implementation, self.config)
        chosen: str = super()._check_and_adjust_attn_implementation(
            attn_implementation, *args, **kwargs
        )
        return chosen
