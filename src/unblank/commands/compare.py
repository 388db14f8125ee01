"""`unblank compare`: pretrains variants of a model, measures each, and prints one table."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from unblank.commands.parsing import parse_settings
from unblank.settings.marks import Positional
from unblank.settings.ranges import Seed, check_values

__all__ = ["CompareSettings", "parse", "run"]


@dataclass(frozen=True, kw_only=True, slots=True)
class CompareSettings:
    """Pretrain variants of a model, measure each, and print and plot one table.

    unblank compare recipe:text_en_small --plan

    What is finished is not done again: stop it when you like, and start it again. `unblank
    recipes` lists examples.
    """

    recipe: Positional[Path]
    """YAML file, or recipe:NAME, with pretraining settings, variants, seeds, evaluations and
    fine-tunings."""
    plan: bool = False
    """Only list what is done and what remains to do."""
    variants: tuple[str, ...] = ()
    """Only these variants."""
    seeds: Seed[tuple[int, ...]] = ()
    """Only these seeds."""
    arrange_memory: bool = True
    """Huge pages and a malloc that keeps its memory, for the command's own process (Linux)."""

    def __post_init__(self) -> None:
        check_values(self)


parse = partial(parse_settings, "compare", CompareSettings)


def run(settings: CompareSettings) -> None:
    """Do what is not done yet, telling of each step, and print the table; errors as `compare`."""
    from unblank.process import arrange_memory
    from unblank.wait_policy import choose_wait_policy

    memory = arrange_memory(settings.arrange_memory)
    choose_wait_policy()
    from unblank.comparing.report import comparison_tables
    from unblank.comparing.run import cells, compare
    from unblank.consoles import TextConsole

    progress = TextConsole(stderr=True, highlight=False)
    recipe = compare(
        settings.recipe,
        plan=settings.plan,
        variants=settings.variants,
        seeds=settings.seeds,
        log=lambda line: progress.print(line, markup=False),
        memory=memory,
    )
    if not settings.plan:
        first = recipe.variants[0].name
        for table in comparison_tables(recipe.output_dir.name, cells(recipe), first):
            TextConsole().print(table)
        names = ("table.md", "table.json", "table.png", "losses.png")
        there = [name for name in names if (recipe.output_dir / name).is_file()]
        progress.print(f"wrote {recipe.output_dir}/{', '.join(there)}", markup=False)
