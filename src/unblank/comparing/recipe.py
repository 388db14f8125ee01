"""The recipe of a comparison, and the settings of every run that it describes.

One set of settings for pretraining, named variants that change some of them, seeds, and what is
measured of each model. Or a finished model in place of pretraining: then variants differ in how it
is measured and fine-tuned.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from unblank.evaluation.options import EvaluationOptions
from unblank.evaluation.suite_options import suite_options
from unblank.finetuning.settings import FinetuneSettings
from unblank.pretraining.settings import PretrainSettings
from unblank.settings.recipes import from_mapping, merged_sections
from unblank.starting.trained_vocabulary import VocabularySettings

__all__ = [
    "MODEL_FOLDER_NAME",
    "ComparedRun",
    "Measurement",
    "Recipe",
    "Variant",
    "file_name",
    "offered_names",
]

MODEL_FOLDER_NAME = "pretrain"
_WITH_CONTEXT = ("lambada", "perplexity")
_SET_BY_COMPARE = {
    "pretrain": ("train.output_dir", "train.seed", "data.cache_dir"),
    "evaluate": ("model", "output"),
    "finetune": (
        "model.init_from", "train.output_dir", "train.seed", "train.seeds", "grid", "cloze.ensemble"
    ),
}  # fmt: skip
"""Settings that a recipe cannot set: the comparison chooses the folders, seeds and models."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to pretrain.

    Attributes:
        name: for the table.
        change: the settings of pretraining that differ, nested as in a recipe.
        measure: name of a measurement -> settings of it that differ for this variant.
        without: names of measurements that mean nothing for it.
    """

    name: str
    change: Mapping[str, Any]
    measure: Mapping[str, Any]
    without: tuple[str, ...] = ()

    @property
    def folder_name(self) -> str:
        """The name as a folder is called."""
        return file_name(self.name)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One thing that is measured of a model, as its settings in the recipe.

    Attributes:
        name: for the table.
        kind: `evaluate` or `finetune`.
        settings: of the evaluation or fine-tuning, nested as in a recipe.
        metrics: which scores are shown; empty shows all.
    """

    name: str
    kind: str
    settings: Mapping[str, Any]
    metrics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """A variant with a seed.

    Attributes:
        variant: the variant.
        seed: of its pretraining and fine-tuning.
        folder: what is measured lies in it.
        model_folder: where pretraining puts the model, perhaps that of a variant with the same
            pretraining, or the finished one.
    """

    variant: Variant
    seed: int
    folder: Path
    model_folder: Path


@dataclass(frozen=True, slots=True)
class Recipe:
    """A comparison.

    Attributes:
        path: of the file.
        output_dir: all that it makes.
        seeds: of every variant.
        model: folder of a finished model; None if one is pretrained.
        pretrain: the settings that variants share.
        variants: in the order of the table.
        measurements: in the order of the table.
    """

    path: Path
    output_dir: Path
    seeds: tuple[int, ...]
    model: Path | None
    pretrain: Mapping[str, Any]
    variants: tuple[Variant, ...]
    measurements: tuple[Measurement, ...]

    def runs(self, names: Sequence[str] = (), seeds: Sequence[int] = ()) -> list[ComparedRun]:
        """Return the runs, one seed of all variants after the other; some or all of both.

        Raises:
            ValueError: for a name or a seed that the recipe does not have.
        """
        known = [variant.name for variant in self.variants]
        for name in names:
            if name not in known:
                raise ValueError(f"no variant {name!r}{offered_names(name, known)}")
        for seed in seeds:
            if seed not in self.seeds:
                raise ValueError(
                    f"no seed {seed}: the recipe has {', '.join(map(str, self.seeds))}"
                )
        return [
            self._run(variant, seed)
            for seed in dict.fromkeys(seeds or self.seeds)
            for variant in self.variants
            if not names or variant.name in names
        ]

    def _run(self, variant: Variant, seed: int) -> ComparedRun:
        seed_name = f"seed-{seed}"
        folder = self.output_dir / variant.folder_name / seed_name
        if self.model is not None:
            return ComparedRun(variant, seed, folder, self.model)
        own = folder / MODEL_FOLDER_NAME
        # Variants that differ only in what is measured have one model.
        same = next(one for one in self.variants if one.change == variant.change)
        shared = self.output_dir / same.folder_name / seed_name / MODEL_FOLDER_NAME
        return ComparedRun(variant, seed, folder, own if own.exists() else shared)

    def measured(self, run: ComparedRun) -> list[Measurement]:
        """Return what is measured of a run's model."""
        return [one for one in self.measurements if one.name not in run.variant.without]

    @property
    def tokenizer_folder(self) -> Path:
        """Where the vocabulary is that all variants share."""
        named = self.pretrain.get("tokenizer", {}).get("path")
        return Path(named) if named else self.output_dir / "tokenizer"

    def vocabulary_settings(self) -> VocabularySettings:
        """Return how that vocabulary is trained, on the training text."""
        pretrain = from_mapping(PretrainSettings, self.pretrain, "pretrain")
        settings, data = pretrain.tokenizer, pretrain.data
        return VocabularySettings(
            train=data.train,
            kind=settings.kind or "bpe",
            vocab_size=settings.vocab_size or 8192,
            lowercase=settings.lowercase or False,
            normalization=settings.normalization or "nfc",
            alpha=settings.alpha,
            num_characters=settings.num_characters,
            text_field=data.text_field,
            text_unit=data.text_unit,
            num_sentinels=settings.num_sentinels,
            extra_tokens=settings.extra_tokens,
        )

    def pretrain_settings(self, run: ComparedRun) -> PretrainSettings:
        """Return the settings of a run's pretraining."""
        own = {
            "tokenizer": {"path": str(self.tokenizer_folder)},
            "data": {"cache_dir": str(self.output_dir / "shards")},
            "train": {"output_dir": str(run.model_folder), "seed": run.seed},
        }
        given = merged_sections(self.pretrain, run.variant.change)
        _refuse_own(given, "pretrain", f"variant {run.variant.name}")
        return from_mapping(
            PretrainSettings, merged_sections(given, own), f"variant {run.variant.name}"
        )

    def evaluation_options(self, run: ComparedRun, measurement: Measurement) -> EvaluationOptions:
        """Return the options of an evaluation of a run's model."""
        settings = merged_sections(
            measurement.settings, run.variant.measure.get(measurement.name, {})
        )
        _refuse_own(settings, "evaluate", f"evaluate {measurement.name}")
        if settings.get("suite") in _WITH_CONTEXT:
            settings.setdefault("context", ["bi"])
            if _num_values(settings["context"]) != 1:
                raise ValueError(
                    f"evaluate {measurement.name}: give one context, and two entries for two"
                )
        if _num_values(settings.get("by")) > 1:
            raise ValueError(f"evaluate {measurement.name}: give one by, and two entries for two")
        settings["model"] = str(run.model_folder)
        settings["output"] = str(run.folder / f"{file_name(measurement.name)}.json")
        where = f"evaluate {measurement.name}"
        try:
            kind = suite_options(str(settings.get("suite", "perplexity")))
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        return from_mapping(kind, settings, where)

    def finetune_settings(self, run: ComparedRun, measurement: Measurement) -> FinetuneSettings:
        """Return the settings of a fine-tuning of a run's model."""
        own = {
            "model": {"init_from": str(run.model_folder)},
            "train": {
                "output_dir": str(run.folder / file_name(measurement.name)),
                "seed": run.seed,
            },
        }
        changed = merged_sections(
            measurement.settings, run.variant.measure.get(measurement.name, {})
        )
        _refuse_own(changed, "finetune", f"finetune {measurement.name}")
        mapping = merged_sections(changed, own)
        return from_mapping(FinetuneSettings, mapping, f"finetune {measurement.name}")


def _num_values(value: Any) -> int:
    """Return how many values are given; the evaluation checks them."""
    return len(value) if isinstance(value, list) else int(value is not None)


def offered_names(name: str, known: Sequence[str]) -> str:
    """Return the end of a message on a name that there is not: the near ones, or all."""
    return f": there are {', '.join(get_close_matches(name, known, n=3) or known)}"


def _refuse_own(settings: Mapping[str, Any], kind: str, where: str) -> None:
    """Refuse what would be given in vain: the comparison sets it itself."""
    for path in _SET_BY_COMPARE[kind]:
        section, _, key = path.rpartition(".")
        held = settings.get(section) if section else settings
        if isinstance(held, Mapping) and key in held:
            raise ValueError(
                f"{where}: a comparison sets {path} itself (folders lie in output_dir, and every "
                "model is fine-tuned once per seed): leave it out"
            )


def file_name(name: str) -> str:
    """Return a name as a file or folder is called."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
