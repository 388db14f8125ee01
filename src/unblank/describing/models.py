"""Folders of models, of adapters on them and of tokenizers."""

from collections.abc import Mapping
from os.path import isdir
from pathlib import Path
from typing import Any

from unblank.adapters.record import AdapterRecord
from unblank.describing.description import Description, Facts
from unblank.describing.provenance import provenance_facts
from unblank.describing.vocabulary import vocabulary_facts
from unblank.describing.weights import size_text, weights_facts
from unblank.families.table import family_of_model_type
from unblank.finetuning.labels.tuned import has_label_head, tuned_on
from unblank.untrusted.folder import CONFIG_NAME, require_kinds
from unblank.untrusted.json_text import read_json_object

__all__ = ["describe_adapter", "describe_model", "describe_tokenizer_folder"]


def describe_model(path: Path) -> Description:
    """Return what the folder of a model or classifier is."""
    config = read_json_object(path / CONFIG_NAME)
    require_kinds(path / CONFIG_NAME, config)
    family = family_of_model_type(config.get("model_type"))
    names = config.get("architectures") or [str(config.get("model_type", "unknown"))]
    is_headed = family is not None and has_label_head(path)
    kind = "classifier" if is_headed else "model"
    facts: dict[str, Facts] = {
        kind: {
            "class": str(names[0]),
            "family": "not of this library" if family is None else family.name,
            **_shape(config),
            **weights_facts(path),
        }
    }
    if is_headed:
        labels = config.get("id2label")
        if isinstance(labels, Mapping):
            facts[kind]["labels"] = ", ".join(map(str, labels.values()))
    if (path / "tokenizer.json").is_file():
        facts["vocabulary"] = vocabulary_facts(path)
    if trained := provenance_facts(path):
        facts["made"] = trained
    return Description(kind=kind, facts=facts, next_commands=_model_next(path, family, is_headed))


def _model_next(path: Path, family: Any, is_headed: bool) -> list[str]:
    if not (path / "tokenizer.json").is_file():
        return [f"unblank convert --complete {path} --tokenizer VOCABULARY"]
    if family is None:
        return []
    if is_headed:
        return [
            f"unblank predict {path} INPUT OUTPUT",
            f"unblank evaluate {path} --suite classifier --file FILE",
            f"unblank serve {path}",
        ]
    commands = []
    if family.writes == "blanks":
        commands += [
            f'unblank fill {path} "The cat [MASK] on the mat."',
            f'unblank score {path} "The cat [MASK] on the mat." --candidates sat slept',
        ]
        if tuned_on(path):  # what it was tuned for comes first
            commands.insert(0, f"unblank predict {path} INPUT OUTPUT")
        else:
            commands.append(f"unblank predict {path} INPUT OUTPUT --task NAME")
    if family.writes == "targets":
        commands.append(f'unblank generate {path} "A source."')
    if family.writes == "nothing":
        start = f"--model.init-from-encoder {path}"
        return [f"unblank finetune {start} --data.train FILE"] if family.gives_encoder else []
    commands.append(f"unblank serve {path}")
    commands.append(f"unblank finetune --model.init-from {path} --data.train FILE")
    return commands


def describe_adapter(path: Path) -> Description:
    """Return what an adapter or a trained prompt is, and its base model, if that is there."""
    record = AdapterRecord.read(path)
    base = Path(record.base_model)
    kind = {"lora": "LoRA adapter", "prompt": "prompt", "deep-prompt": "deep prompt"}[record.kind]
    facts: dict[str, Facts] = {
        kind: {
            "parameters": f"{record.num_parameters:,}" if record.num_parameters else "unknown",
            "base model": f"{base}{'' if isdir(base) else ' (missing)'}",
            "classification head": "yes" if has_label_head(path) else "no",
            **{name: str(value) for name, value in record.settings.items()},
            "size on disk": size_text(path),
        }
    }
    if trained := provenance_facts(path):
        facts["made"] = trained
    if isdir(base):
        try:
            facts["base model"] = describe_model(base).facts.get("model", {})
        except ValueError as error:
            facts["base model"] = {"damaged": str(error)}
    commands = [f"unblank predict {path} INPUT OUTPUT"] if tuned_on(path) else []
    commands.append(f"unblank serve {path}")
    if not has_label_head(path):
        commands.append(f'unblank fill {path} "The cat [MASK] on the mat."')
        if record.kind == "lora":
            commands.append(f"unblank merge {path} OUTPUT")
    return Description(kind=kind, facts=facts, next_commands=commands)


def describe_tokenizer_folder(path: Path) -> Description:
    """Return what the folder of a tokenizer is."""
    return Description(
        kind="tokenizer",
        facts={"vocabulary": vocabulary_facts(path)},
        next_commands=[f"unblank pretrain --tokenizer.path {path} --data.train FILES"],
    )


def _shape(config: Mapping[str, Any]) -> Facts:
    names = {
        "hidden_size": "width",
        "num_hidden_layers": "layers",
        "encoder_layers": "encoder layers",
        "decoder_layers": "decoder layers",
        "num_attention_heads": "attention heads",
        "max_position_embeddings": "positions",
    }
    return {
        shown: f"{config[name]:,}"
        for name, shown in names.items()
        if isinstance(config.get(name), int)
    }
