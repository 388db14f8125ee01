"""`unblank prepare`: tokenizes the text of a pretraining run beforehand."""

from functools import partial

from unblank.commands.parsing import GivenSettings, parse_recipe
from unblank.commands.pretrain import complete_settings
from unblank.pretraining.settings import PretrainSettings

__all__ = ["parse", "run"]

_USUAL = (
    *("model.preset", "model.init_from"),
    *("tokenizer.path", "tokenizer.kind", "tokenizer.vocab_size"),
    *("data.train", "data.validation", "data.hold_out", "data.pairs"),
    *("data.text_field", "data.text_unit", "data.max_length", "data.cache_dir", "data.verify"),
    "train.output_dir",
)
"""Settings that `--help` shows; `--help-all` shows all."""

_ABOUT = """Tokenize the text of a pretraining run beforehand, such as on a machine without GPUs.

unblank prepare [recipe.yaml] --data.train FILE --data.cache-dir FOLDER [--section.name VALUE]

It takes the settings of `unblank pretrain`, which then finds tokenizer and text in data.cache_dir.
What an interrupted command has finished is not done again. To use several processes:
torchrun --nproc-per-node N -m unblank prepare ..."""


parse = partial(
    parse_recipe,
    "prepare",
    PretrainSettings,
    about=_ABOUT,
    usual=_USUAL,
    has_dry_run=False,
    complete=complete_settings,
)


def run(parsed: GivenSettings[PretrainSettings]) -> None:
    """Tokenize; errors as for `run_prepare`."""
    from unblank.pretraining.prepare import run_prepare

    run_prepare(parsed.settings, given=parsed.given)
