"""`unblank finetune`: fine-tunes a model on your own examples."""

from collections.abc import Collection
from dataclasses import replace
from functools import partial

from unblank.commands.parsing import GivenSettings, parse_recipe
from unblank.finetuning.settings import FinetuneSettings
from unblank.process import arrange_memory, is_main_process
from unblank.settings.recipes import read_mapping
from unblank.terminal_text import print_result

__all__ = ["parse", "run"]

_USUAL = (
    *("task", "method", "model.init_from"),
    *("data.train", "data.validation", "data.hold_out", "data.source", "data.target"),
    *("seq2seq.max_source_length", "seq2seq.max_target_length", "cloze.patterns"),
    *("optim.learning_rate", "train.output_dir", "train.epochs", "train.max_steps"),
    "train.minutes",
    *("train.batch_tokens", "train.batch_size", "train.seed", "train.metric"),
    *("train.validate_every", "train.resume", "train.device"),
)
"""Settings that `--help` shows; `--help-all` shows all."""

_ABOUT = """Fine-tune a model on your own examples: text pairs, tasks with labels, questions.

unblank finetune [recipe.yaml] --task TASK --model.init-from FOLDER [--section.name VALUE ...]

Text pairs, a task with labels, questions about passages:

unblank finetune --model.init-from runs/mine --data.source en --data.target de \\
    --data.train train.jsonl --data.validation val.jsonl --train.output-dir runs/en-de
unblank finetune --model.init-from runs/mine --task mood.yaml \\
    --data.train mood.jsonl --data.hold-out 0.1 --train.output-dir runs/mood
unblank finetune --model.init-from runs/mine --task qa \\
    --data.train squad.json --data.validation xquad.json --train.output-dir runs/qa

A recipe is a YAML file with the same names, or recipe:NAME: `unblank recipes` lists them. To use
several processes: torchrun --nproc-per-node N -m unblank finetune ..."""


parse = partial(parse_recipe, "finetune", FinetuneSettings, about=_ABOUT, usual=_USUAL)


def run(parsed: GivenSettings[FinetuneSettings]) -> None:
    """Fine-tune, once or for every combination of a grid; errors as for `run_finetune_command`."""
    from unblank.wait_policy import choose_wait_policy

    settings = parsed.settings
    memory = arrange_memory(settings.train.arrange_memory)  # before torch is loaded
    choose_wait_policy()
    from unblank.finetuning.sweeps.grid import run_finetune_command

    settings = _with_recorded_seed(settings, parsed.given)
    if parsed.dry_run:
        from unblank.finetuning.run import dry_run_finetune

        dry_run_finetune(settings, given=parsed.given, memory=memory, world=parsed.world)
        return
    run_finetune_command(settings, given=parsed.given, memory=memory)


def _with_recorded_seed(settings: FinetuneSettings, given: Collection[str]) -> FinetuneSettings:
    """Return the settings with the seed of the run that is continued, unless one was given.

    Runs of version 0.1 had another seed by default.
    """
    from unblank.engine.resume import RUN_NAME, require_recorded_settings

    path, train = settings.train.output_dir / RUN_NAME, settings.train
    if "train.seed" in given or train.resume == "never" or not path.is_file():
        return settings
    require_recorded_settings(train.output_dir)
    seed = (read_mapping(path).get("train") or {}).get("seed")
    if not isinstance(seed, int) or seed == train.seed:
        return settings
    if is_main_process():
        print_result(f"note: continuing with seed {seed}, as {path} says")
    return replace(settings, train=replace(train, seed=seed))
