"""`unblank pretrain`: pretrains a model on your text, or continues from one."""

from collections.abc import Sequence

from unblank.commands.parsing import GivenSettings, parse_recipe
from unblank.pretraining.settings import PretrainSettings

__all__ = ["parse", "run"]

_USUAL = (
    *("model.preset", "model.init_from", "model.init_from_encoder"),
    *("tokenizer.path", "tokenizer.kind", "tokenizer.vocab_size"),
    *("data.train", "data.validation", "data.pairs", "data.text_field", "data.max_length"),
    *("objective.token", "objective.sentence", "objective.document", "objective.mask_ratio"),
    *("optim.learning_rate", "optim.warmup_steps"),
    *("train.output_dir", "train.max_steps", "train.batch_size", "train.micro_batch_size"),
    *("train.seed", "train.validate_every", "train.save_every", "train.resume", "train.device"),
)
"""Settings that `--help` shows; `--help-all` shows all."""

_ABOUT = """Pretrain a blank-infilling language model on your own text, or continue from a model.

unblank pretrain [recipe.yaml] --data.train FILE --train.output-dir FOLDER [--section.name VALUE]

A recipe is a YAML file with the same names, or recipe:NAME: `unblank recipes` lists them. To use
several processes: torchrun --nproc-per-node N -m unblank pretrain ..."""


def parse(words: Sequence[str]) -> GivenSettings[PretrainSettings]:
    """Return the run that the words describe; errors as for `parse_recipe`."""
    return parse_recipe(
        "pretrain",
        PretrainSettings,
        words,
        about=_ABOUT,
        usual=_USUAL,
    )


def run(parsed: GivenSettings[PretrainSettings]) -> None:
    """Pretrain; errors as for `run_pretrain`."""
    from unblank.process import arrange_memory

    settings = parsed.settings
    memory = arrange_memory(settings.train.arrange_memory)  # before torch is loaded
    from unblank.pretraining.run import dry_run_pretrain, run_pretrain

    if parsed.dry_run:
        dry_run_pretrain(settings, given=parsed.given, memory=memory, world=parsed.world)
    else:
        run_pretrain(settings, given=parsed.given, memory=memory)
