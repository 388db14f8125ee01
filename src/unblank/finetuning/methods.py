"""Tuning methods: which weights a run changes, and what its folders hold.

`full`, `classifier` and `none` save whole models. `lora`, `prompt` and `deep-prompt` freeze the
model and save what is trained, with a record of the base model; checkpoints are as small.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from unblank.adapters.lora import add_lora, attach_lora, save_lora
from unblank.adapters.prompts import load_training, save_prompt
from unblank.adapters.record import AdapterKind, AdapterRecord, fingerprint
from unblank.adapters.settings import LoraSettings, PromptSettings
from unblank.engine.training import AllWeights, TuningMethod
from unblank.finetuning.settings import MethodName
from unblank.models.classifier_head import HEAD_LAYERS
from unblank.prompting.soft import attach_soft_prompt, new_soft_prompt
from unblank.prompting.soft_deep import attach_deep_prompt, new_deep_prompt
from unblank.tokenization.special import give_prompt
from unblank.untrusted.opening import config_in

__all__ = ["build_method", "prompt_for_tokenizer"]


class _FrozenMethod(AllWeights):
    """No weight changes: the model is only evaluated."""

    def prepare(self, model: PreTrainedModel, checkpoint: Path | None) -> PreTrainedModel:
        """Return the model, frozen."""
        return model.requires_grad_(False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Beside:
    """What is trained beside a frozen base model.

    Attributes:
        base: folder of the base model.
        seed: of new weights.
        described: what the record says of the training: the task, the seed, the questions.
    """

    base: Path
    seed: int
    described: dict[str, str | int | float]
    saves_whole_models: ClassVar[bool] = False

    def finished(
        self, model: PreTrainedModel, weights: dict[str, Tensor]
    ) -> tuple[PreTrainedModel, dict[str, Tensor]]:
        """Return both as they are."""
        return model, weights

    def _record(
        self, folder: Path, kind: AdapterKind, num_parameters: int, **more: str | float
    ) -> None:
        AdapterRecord(
            kind=kind,
            base_model=str(self.base),
            base_fingerprint=fingerprint(self.base),
            num_parameters=num_parameters,
            settings={**self.described, **more},
        ).write(folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class _LoraMethod(_Beside):
    """PEFT's low-rank adapters change, and the head of a classifier.

    Attributes:
        lora: rank, scale, dropout and layers.
    """

    lora: LoraSettings

    def prepare(self, model: PreTrainedModel, checkpoint: Path | None) -> PreTrainedModel:
        """Return the model with adapters inside, those of the checkpoint if there is one."""
        adapted: PreTrainedModel
        if checkpoint is not None:
            adapted = attach_lora(model, checkpoint, is_trainable=True)
        else:
            adapted = add_lora(model, **asdict(self.lora), seed=self.seed)
        return adapted

    def save(
        self,
        folder: Path,
        model: PreTrainedModel,
        weights: dict[str, Tensor],
        tokenizer: PreTrainedTokenizerFast,
        *,
        to_continue: bool = False,
    ) -> None:
        """Write the adapters as PEFT does, and which model they belong to."""
        num_parameters = save_lora(folder, model, weights, str(self.base))
        lora = self.lora
        self._record(
            folder, "lora", num_parameters, rank=lora.rank, alpha=lora.alpha, targets=lora.targets
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _PromptMethod(_Beside):
    """Trained vectors change, and the head of a classifier.

    Attributes:
        prompt: how many vectors, and what they are trained through.
        kind: vectors after [CLS], or keys and values in every layer.
    """

    prompt: PromptSettings
    kind: AdapterKind

    def prepare(self, model: PreTrainedModel, checkpoint: Path | None) -> PreTrainedModel:
        """Return the frozen model with a prompt, that of the checkpoint if there is one."""
        length = self.prompt.length
        if self.kind == "deep-prompt":
            attach_deep_prompt(model, new_deep_prompt(model, length, self.seed))
        else:
            encoder = self.prompt.encoder or "none"
            attach_soft_prompt(model, new_soft_prompt(model, length, encoder, self.seed))
        if checkpoint is not None:
            load_training(model, checkpoint)
        for name, parameter in model.named_parameters():
            is_prompt = "soft_prompt." in name or ".self_attn.prompt." in name
            parameter.requires_grad_(is_prompt or name.split(".")[0] in HEAD_LAYERS)
        return model

    def save(
        self,
        folder: Path,
        model: PreTrainedModel,
        weights: dict[str, Tensor],
        tokenizer: PreTrainedTokenizerFast,
        *,
        to_continue: bool = False,
    ) -> None:
        """Write the prompt, and which model it belongs to."""
        num_parameters = save_prompt(folder, model, weights, with_training=to_continue)
        more: dict[str, str | float] = {"length": self.prompt.length}
        if self.kind == "prompt":
            more |= {"encoder": self.prompt.encoder or "none", "place": "behind [CLS]"}
        self._record(folder, self.kind, num_parameters, **more)


def build_method(
    name: MethodName,
    *,
    base: Path | None,
    seed: int,
    described: dict[str, str | int | float],
    lora: LoraSettings,
    prompt: PromptSettings,
    finish: Callable[
        [PreTrainedModel, dict[str, Tensor]], tuple[PreTrainedModel, dict[str, Tensor]]
    ]
    | None = None,
) -> TuningMethod:
    """Return the method of a name.

    Args:
        name: of the method.
        base: folder of the base model, for methods that train something beside it.
        seed: of new weights.
        described: what an adapter's record says of its training.
        lora: settings of `lora`.
        prompt: settings of `prompt` and `deep-prompt`.
        finish: takes what only training needs from a finished model.
    """
    if name in ("full", "classifier"):
        return AllWeights(finish)
    if name == "none":
        return _FrozenMethod()
    assert base is not None
    if name == "lora":
        return _LoraMethod(base=base, seed=seed, described=described, lora=lora)
    kind: AdapterKind = "deep-prompt" if name == "deep-prompt" else "prompt"
    return _PromptMethod(base=base, seed=seed, described=described, prompt=prompt, kind=kind)


def prompt_for_tokenizer(base: Path, length: int) -> Callable[[PreTrainedTokenizerFast], None]:
    """Return what lets every Part A of a tokenizer's texts begin with a trained prompt.

    Args:
        base: folder of the base model; the prompt's ids come after its rows.
        length: vectors of the prompt.
    """

    def prepare(tokenizer: PreTrainedTokenizerFast) -> None:
        give_prompt(tokenizer, config_in(base).vocab_size, length)

    return prepare
