"""`run_prepare`: the text of a pretraining run made ready beforehand, where no GPU has to wait.

It makes what the run would make: its tokenizer and the token ids of all its text, in the folder in
which the run looks for them.
"""

from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from unblank.atomic_folders import unfinished_folder
from unblank.data.shards import CorpusCache
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

    Raises:
        ValueError: a setting or file does not fit; the message says what to do.
        FileNotFoundError: a file that is named is not there.
        OSError: the folder cannot be written.
    """
    refuse_without_text(settings)
    given = changed_names(settings) if given is None else given
    family = family_of_run(settings.model, None)
    refuse_unused(given, family.unused_settings)
    data = settings.data
    folder = cache_folder(data.cache_dir, settings.train.output_dir)
    with join_world("cpu") as world, open_cache(folder, world, verify=data.verify) as cache:
        data = replace(data, train=keep_standard_input(data.train, folder, world))
        display = Display(total_steps=1, is_main=world.is_main, is_terminal=False)
        text = _prepared(replace(settings, data=data), cache, world, display)
        display.show(text.table(data.max_length))
        display.say(f"prepared text: {folder}")
    return folder


def _prepared(
    settings: PretrainSettings, cache: CorpusCache, world: World, display: Display
) -> PreparedText:
    hold_out = find_hold_out(settings.data, cache, world)
    with ExitStack() as stack:
        made: Path | None = None
        if world.is_main:  # where a run has its tokenizer
            made = stack.enter_context(unfinished_folder(cache.folder, "tokenizer"))
        text = prepare_text(
            cache,
            world,
            display,
            family_of_run(settings.model, None),
            model=settings.model,
            tokenizer=settings.tokenizer,
            data=settings.data,
            output_dir=world.gather(made)[0],
            checkpoint=None,
            hold_out=hold_out,
        )
        world.wait()
    return text
