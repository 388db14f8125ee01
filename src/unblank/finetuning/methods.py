"""Tuning methods: which weights a run changes, and what its folders hold.

`full`, `classifier` and `none` save whole models. `lora`, `prompt` and `deep-prompt` freeze the
model and save what is trained, with a record of the base model; checkpoints are as small.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor
from transformers import AutoConfig, PreTrainedModel, PreTrainedTokenizerFast

from unblank.adapters.lora import add_lora, put_lora, save_lora
from unblank.adapters.prompts import load_training, save_prompt
from unblank.adapters.record import AdapterKind, AdapterRecord, fingerprint, has_adapter
from unblank.engine.state import save_model_folder
from unblank.finetuning.settings import FinetuneSettings, MethodName
from unblank.finetuning.tasks import TASKS
from unblank.prompting.soft import attach_soft_prompt, new_soft_prompt, require_glm
from unblank.prompting.soft_deep import attach_deep_prompt, new_deep_prompt
from unblank.prompting.task import load_task
from unblank.tokenization.special import give_prompt

__all__ = [
    "METHODS",
    "DeepPromptMethod",
    "FrozenMethod",
    "FullMethod",
    "LoraMethod",
    "PromptMethod",
    "prepare_tokenizer",
    "require_possible",
]

_HEADS = ("dense", "out_proj")
"""Layers of a classifier, new like the prompt."""


@dataclass(frozen=True, slots=True)
class FullMethod:
    """All weights change, and whole models are saved."""

    config: FinetuneSettings
    saves_whole_models: ClassVar[bool] = True

    def prepare(self, model: PreTrainedModel, checkpoint: Path | None) -> PreTrainedModel:
        """Return the model as it is."""
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
        """Write model and tokenizer."""
        save_model_folder(folder, model, weights, tokenizer)


class FrozenMethod(FullMethod):
    """No weight changes: the model is only evaluated."""

    def prepare(self, model: PreTrainedModel, checkpoint: Path | None) -> PreTrainedModel:
        """Return the model, frozen."""
        return model.requires_grad_(False)


@dataclass(frozen=True, slots=True)
class LoraMethod:
    """PEFT's low-rank adapters change, and the head of a classifier."""

    config: FinetuneSettings
    saves_whole_models: ClassVar[bool] = False

    def prepare(self, model: PreTrainedModel, checkpoint: Path | None) -> PreTrainedModel:
        """Return the model with adapters inside, those of the checkpoint if there is one."""
        if checkpoint is not None:
            adapted: PreTrainedModel = put_lora(model, checkpoint, is_trainable=True)
            return adapted
        lora = self.config.lora
        adapted = add_lora(
            model,
            rank=lora.rank,
            alpha=lora.alpha,
            dropout=lora.dropout,
            targets=lora.targets,
            seed=self.config.train.seed,
        )
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
        base = _base_folder(self.config)
        num_parameters = save_lora(folder, model, weights, str(base))
        _write_record(folder, "lora", self.config, num_parameters)


@dataclass(frozen=True, slots=True)
class PromptMethod:
    """Vectors behind [CLS] change, perhaps through an encoder, and the head of a classifier."""

    config: FinetuneSettings
    kind: ClassVar[AdapterKind] = "prompt"
    saves_whole_models: ClassVar[bool] = False

    def prepare(self, model: PreTrainedModel, checkpoint: Path | None) -> PreTrainedModel:
        """Return the frozen model with a prompt, that of the checkpoint if there is one."""
        self._attach(model)
        if checkpoint is not None:
            load_training(model, checkpoint)
        for name, parameter in model.named_parameters():
            is_prompt = "soft_prompt." in name or ".self_attn.prompt." in name
            parameter.requires_grad_(is_prompt or name.split(".")[0] in _HEADS)
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
        _write_record(folder, self.kind, self.config, num_parameters)

    def _attach(self, model: PreTrainedModel) -> None:
        prompt, seed = self.config.prompt, self.config.train.seed
        made = new_soft_prompt(model, prompt.length, prompt.encoder or "none", seed)
        attach_soft_prompt(model, made)


class DeepPromptMethod(PromptMethod):
    """Keys and values in every layer change, and the head of a classifier."""

    kind: ClassVar[AdapterKind] = "deep-prompt"

    def _attach(self, model: PreTrainedModel) -> None:
        length, seed = self.config.prompt.length, self.config.train.seed
        attach_deep_prompt(model, new_deep_prompt(model, length, seed))


AnyMethod = FullMethod | LoraMethod | PromptMethod

METHODS: dict[MethodName, type[AnyMethod]] = {
    "full": FullMethod,
    "classifier": FullMethod,
    "lora": LoraMethod,
    "prompt": PromptMethod,
    "deep-prompt": DeepPromptMethod,
    "none": FrozenMethod,
}


def require_possible(config: FinetuneSettings) -> None:
    """Refuse what a method cannot do, before text is read.

    Raises:
        ValueError: few parameters without a finished model, a model that is itself an adapter,
            tokens whose embeddings would not be trained, a prompt before another family than GLM,
            or one that leaves too little room for text, an adapter on a discriminator that writes.
    """
    start = config.model.init_from
    if start is not None and has_adapter(start):
        raise ValueError(
            f"{start} holds what was trained beside a model, not a model: start from the base "
            "model that its adapter.json names, or from `unblank merge` of it"
        )
    if METHODS[config.method].saves_whole_models:
        return
    base = _base_folder(config)
    if config.tokenizer.extra_tokens:
        raise ValueError(
            f"tokenizer.extra_tokens need rows of the embedding table, which --method "
            f"{config.method} does not train: use --method full"
        )
    if config.ganlm.branch == "discriminator":
        raise ValueError(
            f"--method {config.method} saves no more than what it trains beside {base}, where the "
            "discriminator does not write: use --method full with ganlm.branch discriminator"
        )
    if config.method == "lora" or not (base / "config.json").is_file():
        return
    base_config = AutoConfig.from_pretrained(base)
    require_glm(base_config, f"--method {config.method}")
    if config.method == "prompt":
        _require_room(config, base_config.max_position_embeddings)


def prepare_tokenizer(config: FinetuneSettings, tokenizer: PreTrainedTokenizerFast) -> None:
    """Let every Part A of a run begin with the prompt that it trains, if it trains one."""
    if config.method == "prompt":
        rows = AutoConfig.from_pretrained(_base_folder(config)).vocab_size
        give_prompt(tokenizer, rows, config.prompt.length)


def _require_room(config: FinetuneSettings, positions: int) -> None:
    limits = {"positions of the model": positions}
    if config.task == "seq2seq":
        limits["seq2seq.max_source_length"] = config.seq2seq.max_source_length
    for name, limit in limits.items():
        if config.prompt.length > limit // 2:
            raise ValueError(
                f"prompt.length {config.prompt.length} takes more than half of the {limit} "
                f"{name}: a prompt stands in the source and takes its positions"
            )


def _base_folder(config: FinetuneSettings) -> Path:
    if config.model.init_from is None:
        raise ValueError(
            f"--method {config.method} trains few parameters of a finished model: give its folder "
            "with --model.init_from"
        )
    return Path(config.model.init_from).resolve()


def _patterns(config: FinetuneSettings) -> str:
    """Return the questions that the parameters were trained to answer."""
    task = load_task(config.task)
    numbers = config.cloze.patterns or (task.default_pattern,)
    return " | ".join(task.pattern(number).pattern.text for number in numbers)


def _write_record(
    folder: Path, kind: AdapterKind, config: FinetuneSettings, num_parameters: int
) -> None:
    base = _base_folder(config)
    settings: dict[str, str | int | float] = {"task": config.task, "seed": config.train.seed}
    if config.task not in TASKS and not config.cloze.classifier:
        settings["patterns"] = _patterns(config)
    if kind == "lora":
        settings |= {"rank": config.lora.rank, "alpha": config.lora.alpha}
        settings |= {"targets": config.lora.targets}
    else:
        settings |= {"length": config.prompt.length}
    if kind == "prompt":
        settings |= {"encoder": config.prompt.encoder or "none", "place": "behind [CLS]"}
    AdapterRecord(
        kind=kind,
        base_model=str(base),
        base_fingerprint=fingerprint(base),
        num_parameters=num_parameters,
        settings=settings,
    ).write(folder)
