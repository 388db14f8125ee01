"""Fetches transformers' own tests, of the installed version, into a folder that git ignores.

The source distribution holds `tests/test_modeling_common.py`. What that imports and the
distribution lacks is taken from the tag of the same version in the repository, or from a checkout.
"""

import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

REPOSITORY = "https://github.com/huggingface/transformers"
FROM_REPOSITORY = (
    "tests/generation/__init__.py",
    "tests/generation/test_utils.py",
    "tests/exporters/__init__.py",
    "tests/exporters/test_export.py",
)
REQUIREMENTS = ("parameterized",)


def fetch_mixins(folder: Path, checkout: Path | None) -> None:
    """Fill `folder` with `tests`, and with `lib`, what they need beyond our own requirements."""
    pip("install", "--target", str(folder / "lib"), "--upgrade", *REQUIREMENTS)
    with tempfile.TemporaryDirectory() as downloads:
        exact = f"transformers=={version('transformers')}"
        pip("download", "--no-deps", "--no-binary", ":all:", "--dest", downloads, exact)
        (archive,) = Path(downloads).glob("*.tar.gz")
        with tarfile.open(archive) as members:
            members.extractall(downloads, filter="data")
        (unpacked,) = Path(downloads).glob("transformers-*/tests")
        shutil.copytree(unpacked, folder / "tests", dirs_exist_ok=True)
    (folder / "tests" / "__init__.py").touch()
    missing = [name for name in FROM_REPOSITORY if not (folder / name).exists()]
    with tempfile.TemporaryDirectory() as clone:
        source = checkout or clone_tag(Path(clone))
        for name in missing:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(git(source, "show", f"HEAD:{name}"))


def clone_tag(folder: Path) -> Path:
    tag = f"v{version('transformers')}"
    options = ("--quiet", "--depth", "1", "--filter", "blob:none", "--no-checkout", "--branch", tag)
    subprocess.run(["git", "clone", *options, REPOSITORY, str(folder)], check=True)
    return folder


def git(folder: Path, *arguments: str) -> bytes:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True)
