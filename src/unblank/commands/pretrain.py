"""`unblank pretrain`: pretrains a model on your text, or continues from one."""

from collections.abc import Sequence

from unblank.commands.parsing import GivenSettings, parse_recipe
from unblank.pretraining.settings import PretrainSettings
from unblank.process import arrange_memory, is_main_process
from unblank.terminal_text import print_message

__all__ = ["complete_settings", "parse", "run"]

_USUAL = (
    *("model.preset", "model.init_from"),
    *("tokenizer.path", "tokenizer.kind", "tokenizer.vocab_size"),
    *("data.train", "data.validation", "data.hold_out", "data.text_field", "data.max_length"),
    *("objective.token", "objective.sentence", "objective.document", "objective.mask_ratio"),
    *("optim.learning_rate", "train.output_dir", "train.minutes", "train.max_steps"),
    *("train.batch_size", "train.micro_batch_size", "train.seed", "train.validate_every"),
    "train.resume",
)
"""Settings that `--help` shows; `--help-all` shows all."""

_ABOUT = """Pretrain a blank-infilling language model on your own text, or continue from a model.

unblank pretrain [recipe.yaml] --data.train FILE --train.output-dir FOLDER [--section.name VALUE]
unblank pretrain --data.train my_text/ --train.minutes 30 --train.output-dir runs/mine

Without a recipe and a model.preset, all that is not given is chosen by the size of the text and
train.minutes (at most 30), and printed with its reasons; not for text on standard input.

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
        complete=complete_settings,
    )


def run(parsed: GivenSettings[PretrainSettings]) -> None:
    """Pretrain; errors as for `run_pretrain`."""
    from unblank.wait_policy import choose_wait_policy

    settings = parsed.settings
    memory = arrange_memory(settings.train.arrange_memory)  # before torch is loaded
    choose_wait_policy()
    from unblank.pretraining.run import dry_run_pretrain, run_pretrain

    if parsed.dry_run:
        dry_run_pretrain(settings, given=parsed.given, memory=memory, world=parsed.world)
    else:
        run_pretrain(settings, given=parsed.given, memory=memory)


def complete_settings(settings: PretrainSettings, given: frozenset[str]) -> PretrainSettings:
    """Return the settings with what is chosen where a run without a recipe leaves it open."""
    from unblank.pretraining.choosing import choose_settings, is_open

    if not is_open(given):
        return settings
    is_main = is_main_process()
    if "-" in settings.data.train:  # which can be read once
        if is_main:
            print_message(
                "note: nothing is chosen for text on standard input, whose size is not known: what "
                "is not given has its default value, as --print-recipe shows. For a choice, give "
                "the text as a file"
            )
        return settings
    chosen = choose_settings(settings, given)
    if is_main:
        from unblank.consoles import TextConsole

        # Not where --print-recipe writes a recipe.
        TextConsole(stderr=True, highlight=False).print(chosen.table())
    return chosen.settings
