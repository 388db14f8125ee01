"""What our models add to transformers' `save_pretrained`: the card of the folder."""

from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from unblank.model_card import write_card

__all__ = ["WithCard"]


class WithCard(PreTrainedModel):
    """A model whose folder gets a `README.md`, unless a person has written one."""

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
