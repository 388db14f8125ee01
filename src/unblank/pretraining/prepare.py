"""`run_prepare`: the text of a pretraining run made ready beforehand, where no GPU has to wait.

It makes what the run would make: its tokenizer and the token ids of all its text, in the folder in
which the run looks for them.
"""

import shutil
import tempfile
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path

from unblank.atomic_folders import used_folder
from unblank.engine.logging import Display
from unblank.engine.parallel import World, join_world
from unblank.families.table import family_of_run
from unblank.pretraining.prepared_text import (
    PreparedText,
    cache_folder,
    find_hold_out,
    open_cache,
    prepare_text,
)
from unblank.pretraining.run import refuse_without_text
from unblank.pretraining.settings import PretrainSettings
from unblank.pretraining.standard_input import keep_standard_input
from unblank.settings.given import changed_names, refuse_unused

__all__ = ["run_prepare"]


def run_prepare(settings: PretrainSettings, *, given: Collection[str] | None = None) -> Path:
    """Tokenize the text of a run, and return the folder in which `run_pretrain` finds it.

    Started by torchrun, processes share out the files.

    Args:
        settings: of the run.
        given: as for `run_pretrain`.

    Raises:
        ValueError: a setting or file does not fit; the message says what to do.
        FileNotFoundError: a file that is named is not there.
        OSError: the folder cannot be written.
    """
    refuse_without_text(settings)
    given = changed_names(settings) if given is None else given
    family = family_of_run(settings.model, None)
    refuse_unused(given, family.unused_settings)
    with join_world("cpu") as world, ExitStack() as stack:
        settings = keep_standard_input(settings, world)
        if world.is_main:
            cache_dir = cache_folder(settings.data.cache_dir, settings.train.output_dir)
            stack.enter_context(used_folder(cache_dir))
        display = Display(total_steps=1, is_main=world.is_main, is_terminal=False)
        text, folder = _prepared(settings, world, display)
        display.show(text.table(settings.data.max_length))
        display.say(f"prepared text: {folder}")
    return folder


def _prepared(
    settings: PretrainSettings, world: World, display: Display
) -> tuple[PreparedText, Path]:
    data, output_dir = settings.data, settings.train.output_dir
    hold_out = find_hold_out(data, output_dir, world)
    cache = open_cache(data, output_dir, world)
    with ExitStack() as stack:
        made: str | None = None
        if world.is_main:
            # Where a run has its tokenizer; what a killed command leaves is removed by its name.
            made = tempfile.mkdtemp(prefix=".tokenizer.unfinished-", dir=cache.folder)
            stack.callback(shutil.rmtree, made, ignore_errors=True)
        text = prepare_text(
            cache,
            world,
            display,
            family_of_run(settings.model, None),
            model=settings.model,
            tokenizer=settings.tokenizer,
            data=data,
            output_dir=Path(world.gather(made)[0]),
            checkpoint=None,
            hold_out=hold_out,
        )
        world.wait()
    return text, cache.folder
