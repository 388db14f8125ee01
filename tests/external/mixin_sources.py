"""Fetches transformers' own tests, of the installed version, into a folder that git ignores.

The source distribution on the package index holds `tests/test_modeling_common.py`. The two modules
of mixins that it imports and the distribution lacks are taken from a checkout, or from the tag of
the same version in the repository; where neither can be had, an empty class stands for each.
"""

import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

REPOSITORY = "https://github.com/huggingface/transformers"
FROM_REPOSITORY = {
    "tests/generation/test_utils.py": "GenerationTesterMixin",
    "tests/exporters/test_export.py": "ExportTesterMixin",
}
"""Module that the distribution lacks -> the mixin in it."""
REQUIREMENTS = ("parameterized",)
_STAND_IN = "# stands for a module that could not be fetched"


def fetch_mixins(folder: Path, checkout: Path | None) -> None:
    """Fill `folder` with `tests`, and with `lib`, what they need beyond our own requirements.

    What is there already is kept: only what is missing is fetched.
    """
    if not (folder / "tests" / "test_modeling_common.py").exists():
        pip("install", "--target", str(folder / "lib"), "--upgrade", *REQUIREMENTS)
        copy_distributed_tests(folder)
    missing = missing_modules(folder)
    if not missing:
        return
    with tempfile.TemporaryDirectory() as clone:
        read = reader_of_checkout(checkout) if checkout else reader_of_tag(Path(clone))
        for name in missing:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            (path.parent / "__init__.py").touch()
            path.write_bytes(read(name) or stand_in(FROM_REPOSITORY[name]))


def missing_modules(folder: Path) -> list[str]:
    """Return the modules of mixins that are not there, or for which an empty class stands."""
    return [
        name
        for name in FROM_REPOSITORY
        if not (folder / name).exists() or (folder / name).read_text("utf-8").startswith(_STAND_IN)
    ]


def copy_distributed_tests(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as downloads:
        exact = f"transformers=={version('transformers')}"
        pip("download", "--no-deps", "--no-binary", ":all:", "--dest", downloads, exact)
        (archive,) = Path(downloads).glob("*.tar.gz")
        with tarfile.open(archive) as members:
            members.extractall(downloads, filter="data")
        (unpacked,) = Path(downloads).glob("transformers-*/tests")
        shutil.copytree(unpacked, folder / "tests", dirs_exist_ok=True)
    (folder / "tests" / "__init__.py").touch()


def reader_of_checkout(checkout: Path) -> Callable[[str], bytes | None]:
    """Return what reads a file of a checkout: of the installed version's tag, else as it is now."""
    tag = f"v{version('transformers')}"
    has_tag = read_of_git(checkout, "rev-parse", "--verify", "--quiet", f"{tag}^{{commit}}")
    if not has_tag:
        print(f"{checkout} has no tag {tag}: its newest commit is used", file=sys.stderr)
    return lambda name: read_of_git(checkout, "show", f"{tag if has_tag else 'HEAD'}:{name}")


def reader_of_tag(folder: Path) -> Callable[[str], bytes | None]:
    """Return what reads a file of the installed version's tag; it finds none without network."""
    tag = f"v{version('transformers')}"
    options = ("--quiet", "--depth", "1", "--filter", "blob:none", "--no-checkout", "--branch", tag)
    subprocess.run(["git", "clone", *options, REPOSITORY, str(folder)], check=False)
    return lambda name: read_of_git(folder, "show", f"HEAD:{name}")


def read_of_git(repository: Path, *arguments: str) -> bytes | None:
    """Return what a git command prints, or None if it fails."""
    command = ["git", "-C", str(repository), *arguments]
    done = subprocess.run(command, check=False, capture_output=True)
    return done.stdout if done.returncode == 0 else None


def stand_in(mixin: str) -> bytes:
    return f"{_STAND_IN}\n\n\nclass {mixin}:\n    pass\n".encode()


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True)
