"""The recorded originals: which folders are read, and what is found in them by looking.

Every test runs on each set of recordings: the whole folder where it is at hand
(`$UNBLANK_FIXTURES`) or else the committed one, and one of other sizes and names that is made of
either. Sizes and cases come
from the folder itself.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from record import is_source
from recorded_set import unpack
from recordings import TRACKERS, read_json, require, unrecorded_options
from resize import resize

from unblank.conversion.convert import convert
from unblank.conversion.source import open_source
from unblank.models import GlmInfillForConditionalGeneration

REPOSITORY = Path(__file__).resolve().parents[2]
WHOLE = Path(os.environ.get("UNBLANK_FIXTURES", REPOSITORY.parent / "shared" / "fixtures"))
SETS = ["committed", "whole", "resized"] if WHOLE.is_dir() else ["committed", "resized"]


@pytest.fixture(scope="session")
def committed_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(tmp_path_factory.mktemp("committed"))


@pytest.fixture(scope="session")
def best_dir(committed_dir: Path) -> Path:
    """The folder with most recordings, for what no model has a part in: read once."""
    return WHOLE if WHOLE.is_dir() else committed_dir


@pytest.fixture(scope="session", params=SETS)
def fixtures_dir(
    request: pytest.FixtureRequest,
    committed_dir: Path,
    best_dir: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A set of recordings; the committed one only where the whole is not at hand.

    `test_sets` shows that the whole folder holds what is committed, if it was taken from there.
    """
    is_whole_here = best_dir != committed_dir and is_source(best_dir, committed_dir)
    if request.param == "committed" and is_whole_here:
        pytest.skip("the whole folder, which holds the committed recordings, is read instead")
    if request.param == "resized":
        target = tmp_path_factory.mktemp("resized") / "set"
        resize(best_dir if is_whole_here else committed_dir, target)
        return target
    return {"committed": committed_dir, "whole": best_dir}[request.param]


@pytest.fixture(scope="session")
def glm_dir(fixtures_dir: Path) -> Path:
    return require(fixtures_dir / "glm")


@pytest.fixture(scope="session")
def glm_sizes(glm_dir: Path) -> dict:
    return read_json(glm_dir / "config.json")


@pytest.fixture(scope="session")
def convert_glm(
    glm_dir: Path, glm_sizes: dict, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Return a converter of the checkpoint folders beside the recorded outputs, each done once."""
    root = tmp_path_factory.mktemp("converted")

    def converted(name: str) -> Path:
        output = root / name
        if not output.exists():
            heads = glm_sizes["num_attention_heads"]
            convert(require(glm_dir / name), output, num_attention_heads=heads)
        return output

    return converted


@pytest.fixture(scope="session")
def load_glm(
    convert_glm: Callable[[str], Path],
) -> Callable[[str], GlmInfillForConditionalGeneration]:
    """Return a loader of converted checkpoint folders."""

    def load(name: str) -> GlmInfillForConditionalGeneration:
        folder = convert_glm(name)
        return GlmInfillForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()

    return load


@pytest.fixture(scope="session")
def glm_checkpoints(glm_dir: Path, glm_sizes: dict) -> Callable[..., list[str]]:
    """Return a finder of checkpoint folders by what they hold, as the names may be any."""
    folders = sorted({path.parent for name in TRACKERS for path in glm_dir.glob(f"*/{name}")})
    kinds = {}
    for folder in folders:
        source = open_source(folder)
        if sizes_of(source.state_dicts[0]) != (glm_sizes["num_layers"], glm_sizes["hidden_size"]):
            continue  # a model that no output is recorded of
        dtypes = {tensor.dtype for tensor in source.state_dicts[0].values()}
        has_head = any("pool_layer" in key for key in source.state_dicts[0])
        is_whole = len(source.state_dicts) == 1
        kinds[folder.name] = (is_whole, torch.float16 in dtypes, has_head)

    def found(*, is_whole: bool = True, is_half: bool = False, has_head: bool = False) -> list[str]:
        wanted = (is_whole, is_half, has_head)
        names = [name for name, kind in kinds.items() if kind == wanted]
        if not names:
            pytest.skip(
                f"no checkpoint with is_whole, is_half, has_head = {wanted} is in {glm_dir}"
            )
        return names

    return found


def sizes_of(state_dict: dict[str, torch.Tensor]) -> tuple[int, int]:
    """Layers and width of a GLM."""
    norms = [tensor for key, tensor in state_dict.items() if ".input_layernorm.weight" in key]
    return len(norms), norms[0].numel()


@pytest.fixture(scope="session")
def glm(load_glm: Callable[[str], GlmInfillForConditionalGeneration], glm_checkpoints):
    return load_glm(glm_checkpoints()[0])


@pytest.fixture(scope="session")
def convert_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a converter that does each checkpoint once for each choice of options.

    What the checkpoint does not record, the settings of its folder tell.
    """
    root, done = tmp_path_factory.mktemp("encoder_decoders"), {}

    def converted(path: Path, **options: object) -> Path:
        options = unrecorded_options(require(path)) | options
        key = (path, tuple(sorted(options.items())))
        if key not in done:
            output = root / str(len(done))
            convert(path, output, **options)
            done[key] = output
        return done[key]

    return converted


def kind_of(path: Path) -> str:
    """What a torch file holds: released weights, a trained model, a part of one, or an encoder."""
    keys = open_source(path).state_dicts[0].keys()
    if any(key.startswith(("src_embedding.", "tgt_embedding.")) for key in keys):
        return "released"
    if any("sentence_encoder." in key for key in keys):
        return "encoder"
    if any(key.startswith("classification_heads.") for key in keys):
        return "classifier"
    is_ganlm = any(key.startswith("encoder.discriminator.") for key in keys)
    decoders = ("decoder.generator.layers.", "decoder.discriminator.layers.")
    if is_ganlm and not all(any(key.startswith(one) for key in keys) for one in decoders):
        return "one decoder"
    return "trained"


@pytest.fixture(scope="session")
def torch_files(fixtures_dir: Path) -> Callable[[str, str], list[Path]]:
    """Return a finder of a family's torch files by what they hold, as the names may be any."""

    def found(family: str, kind: str) -> list[Path]:
        files = sorted((fixtures_dir / family).rglob("*.pt"))
        wanted = [path for path in files if kind_of(path) == kind]
        return wanted or pytest.skip(f"no {kind} checkpoint is in {fixtures_dir / family}")

    return found
