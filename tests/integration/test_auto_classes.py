"""`import unblank` alone makes transformers' Auto classes open our folders, and stays quick."""

import subprocess
import sys

import pytest
from tiny_models import encoder_decoder

AUTO = "from transformers import AutoConfig, AutoModel, AutoModelForSeq2SeqLM"
OPEN_ALL = """
print(type(AutoConfig.from_pretrained({folder!r})).__name__)
print(type(AutoModel.from_pretrained({folder!r})).__name__)
print(type(AutoModelForSeq2SeqLM.from_pretrained({folder!r})).__name__)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("deltalm")
    model, _ = encoder_decoder("deltalm")
    model.save_pretrained(folder)
    return str(folder)


def words_said_by(code: str) -> list[str]:
    """Return the words that a fresh Python prints."""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


@pytest.mark.parametrize(
    "imports", [f"import unblank; {AUTO}", f"{AUTO}; import unblank"], ids=["first", "last"]
)
def test_auto_classes_open_our_folders_whatever_is_imported_first(imports, folder):
    names = words_said_by(imports + OPEN_ALL.format(folder=folder))
    assert names == ["DeltaLMConfig", "DeltaLMModel", "DeltaLMForConditionalGeneration"]


@pytest.mark.parametrize(
    "imports",
    [
        "from transformers import AutoConfig",
        "from transformers import Trainer, AutoConfig",  # its import loads the Auto classes midway
        "from transformers import pipeline, AutoConfig",
        "from unblank.models.glm.configuration import GlmInfillConfig; "
        "from transformers import AutoConfig",
    ],
)
def test_configurations_are_known_however_the_auto_classes_are_reached(imports, folder):
    opened = f"print(type(AutoConfig.from_pretrained({folder!r})).__name__)"
    assert words_said_by(f"import unblank; {imports}; {opened}") == ["DeltaLMConfig"]


@pytest.mark.parametrize(
    "imports",
    ["import unblank; import peft, lm_eval", "import peft, lm_eval.models; import unblank"],
    ids=["first", "last"],
)
def test_peft_and_lm_eval_know_our_models_whatever_is_imported_first(imports):
    code = (
        f"{imports}; from peft.utils.constants import "
        "TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as targets; "
        "import lm_eval.models; from lm_eval.api.registry import model_registry; "
        "print(*targets['glm_infill'], 'unblank' in model_registry)"
    )
    assert words_said_by(code) == ["qkv_proj", "o_proj", "True"]


def test_the_import_alone_is_quick_and_loads_nothing_heavy():
    code = (
        "import sys, time; start = time.process_time(); import unblank; "
        "heavy = {'torch', 'transformers', 'peft', 'lm_eval'} & sys.modules.keys(); "
        "print(time.process_time() - start, *heavy)"
    )
    seconds, *heavy = words_said_by(code)
    assert not heavy
    assert float(seconds) < 0.2
