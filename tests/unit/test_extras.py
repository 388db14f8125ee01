"""A package that is missing is said before the first step, with the extra that has it."""

import json
import tomllib
from pathlib import Path

import pytest
from labelled_toys import labelled_config, toys
from pretraining_toys import small_settings, text_folder

from unblank import extras
from unblank.evaluation.run import evaluate
from unblank.evaluation.task_options import ClozeOptions
from unblank.evaluation.writing_options import TranslationOptions, WritingOptions
from unblank.extras import EXTRAS, is_installed, require_package
from unblank.finetuning.run import run_finetune
from unblank.finetuning.settings import FinetuneSettings
from unblank.metrics import bleu_tokenizers
from unblank.metrics.answers import ANSWER_METRICS
from unblank.metrics.packages import require_metric_packages
from unblank.pretraining.run import run_pretrain
from unblank.pretraining.settings import PretrainSettings
from unblank.settings.recipes import from_mapping

__all__ = ["text_folder", "toys"]

REPOSITORY = Path(__file__).resolve().parents[2]
NAMES = {"sklearn": "scikit-learn", "google": "protobuf"}


@pytest.fixture
def without(monkeypatch):
    """A machine without some packages."""

    def lacks(*absent):
        usual = extras.find_spec
        monkeypatch.setattr(
            extras, "find_spec", lambda name: None if name in absent else usual(name)
        )

    return lacks


def test_the_table_is_that_of_the_project():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    optional = project["project"]["optional-dependencies"]
    for package, extra in EXTRAS.items():
        name = NAMES.get(package, package).replace("_", "-")
        assert any(entry.replace("_", "-").startswith(name) for entry in optional[extra]), package


def test_what_is_absent_is_named_with_its_extra(without):
    without("sacrebleu", "another")
    assert is_installed("numpy.linalg")
    with pytest.raises(ImportError, match=r"this needs .*sacrebleu: pip install 'unblank\[eval\]'"):
        require_package("sacrebleu.metrics", "this")
    with pytest.raises(ImportError, match="pip install another"):
        require_package("another", "this")


@pytest.mark.parametrize("metric", [*ANSWER_METRICS, "bleu", "chrf", "rouge", "meteor"])
def test_every_metric_that_needs_a_package_asks_for_it(metric, without):
    without("sacrebleu", "nltk", "rouge_score", "sklearn", "scipy")
    needs_none = (
        *("accuracy", "em", "f1", "f1a", "macro_f1", "record_f1", "record_em"),
        *("micro_f1", "exact", "mae", "quadratic_kappa"),
    )
    if metric in needs_none:
        require_metric_packages([metric])
        return
    with pytest.raises(ImportError, match=metric):
        require_metric_packages([metric])


@pytest.mark.parametrize(("metric", "package"), [("bleu", "sacrebleu"), ("rouge1", "rouge_score")])
def test_a_translation_run_does_not_train_an_epoch_first(without, toys, tmp_path, metric, package):
    without(package)
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(json.dumps({"source": "a", "target": "b"}) + "\n")
    settings = from_mapping(
        FinetuneSettings,
        {
            "data": {"train": [str(pairs)], "validation": [str(pairs)]},
            "model": {"init_from": str(toys["model"])},
            "train": {"metric": metric, "output_dir": str(tmp_path / "run")},
        },
    )
    with pytest.raises(ImportError, match=package):
        run_finetune(settings)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("tokenizer", ["ja-mecab", "ko-mecab", "flores200"])
def test_what_a_tokenizer_of_bleu_needs_is_asked_for_as_early(
    monkeypatch, toys, tmp_path, tokenizer
):
    monkeypatch.setattr(bleu_tokenizers, "find_spec", lambda name: None)
    monkeypatch.setattr("sacrebleu.utils.SACREBLEU_DIR", str(tmp_path))
    settings = from_mapping(
        FinetuneSettings,
        {
            "data": {"train": ["none.jsonl"], "validation": ["none.jsonl"]},
            "model": {"init_from": str(toys["model"])},
            "train": {"metric": "chrf", "output_dir": str(tmp_path / "run")},
            "generation": {"bleu_tokenizer": tokenizer},
        },
    )
    with pytest.raises(ImportError, match=tokenizer):
        run_finetune(settings)
    assert not (tmp_path / "run").exists()
    options = TranslationOptions(
        suite="translation", model="none", bleu_tokenizer=tokenizer, data=tmp_path
    )
    with pytest.raises(ImportError, match=tokenizer):
        evaluate(options)


def test_labels_adapters_and_trackers_too(without, toys, tmp_path):
    without("sklearn", "peft", "wandb")
    task = tmp_path / "task.yaml"
    task.write_text(toys["task"].read_text().replace("[accuracy]", "[matthews]"))
    for changes, package in (
        ({"task": task}, "sklearn"),
        ({"method": "lora"}, "peft"),
        ({"train": {"track": ("wandb",)}}, "wandb"),
    ):
        paths = {**toys, "task": changes.pop("task", toys["task"])}
        with pytest.raises(ImportError, match=package):
            run_finetune(labelled_config(paths, tmp_path / "run", **changes))
    assert not (tmp_path / "run").exists()


def test_pretraining_asks_before_it_reads(without, text_folder, tmp_path):
    without("pyarrow")
    (tmp_path / "held_out.parquet").write_bytes(b"")
    settings = small_settings(text_folder, tmp_path / "run")
    settings["data"]["validation"] = [str(tmp_path / "held_out.parquet")]
    with pytest.raises(ImportError, match=r"held_out\.parquet needs the package pyarrow"):
        run_pretrain(from_mapping(PretrainSettings, settings))
    settings["data"]["validation"] = [str(tmp_path / "none.txt")]
    with pytest.raises(FileNotFoundError, match="none"):
        run_pretrain(from_mapping(PretrainSettings, settings))
    assert not (tmp_path / "run").exists()


def test_evaluation_asks_before_a_model_is_opened(without, toys, tmp_path):
    without("sacrebleu", "sklearn")
    file = (str(toys["validation"]),)
    with pytest.raises(ImportError, match="sacrebleu"):
        evaluate(WritingOptions(model=str(tmp_path / "none"), suite="translation", file=file))
    task = tmp_path / "task.yaml"
    task.write_text(toys["task"].read_text().replace("[accuracy]", "[matthews]"))
    with pytest.raises(ImportError, match="sklearn"):
        evaluate(ClozeOptions(model=str(tmp_path / "none"), tasks=(str(task),), file=file))
