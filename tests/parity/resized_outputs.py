"""What becomes of recorded outputs when a model grows: tensors by name, and numbers in JSON.

Ids behind the inserted words are numbered anew; every other whole number of a recording is smaller
than the first of these. A loss that is smoothed over all words is computed anew from the logits,
after the same formula has given the recorded number from the old ones.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from resized_tensors import Growth, Insertion
from safetensors.torch import load_file
from torch import Tensor

UNKNOWN_TENSORS = ("attention", "mlm_logits")
"""A mean over other heads; the output of an encoder's own head, which no test reads."""
UNKNOWN_NUMBERS = (
    "max_abs_logit_change_when_wrong", "logit_std", "state_dict_keys_prefixed", "key_names",
    "max_abs_difference_to_original_repository_logits",
)  # fmt: skip
"""What a wrong model would give, and the shapes of the old one."""
SINGLE_IDS = (
    "sentence_end_token", "first_sentinel", "mask_idx", "mask", "eos_token_id", "pad_token_id",
)  # fmt: skip
NO_IDS = ("relative_position_buckets", "statistics", "architecture", "used", "draws")
HALF = "logits_with_fp16_rounded_weights"
Words = tuple[Insertion, int]
"""The inserted words, and how many there were before."""


def grown_outputs(tensors: dict[str, Tensor], growth: Growth) -> dict[str, Tensor]:
    """Return what becomes of the recorded tensors of a file.

    Raises:
        ValueError: a tensor has the width of the model, and what it is cannot be told.
    """
    grown = {}
    for name, tensor in tensors.items():
        if name.rpartition(".")[2] not in UNKNOWN_TENSORS:
            grown[name] = _grown_output(name, tensors, growth).to(tensor.dtype).contiguous()
    return grown


def _grown_output(name: str, tensors: dict[str, Tensor], growth: Growth) -> Tensor:
    tensor, (case, _, last) = tensors[name], name.rpartition(".")
    if not tensor.is_floating_point():
        return growth.ids(tensor)
    if ".head." in name:
        return growth.weight(name.partition(".head.")[2], tensor)
    if last.startswith("relative_bias"):
        return tensor[growth.heads.index]
    if "logits" in last and tensor.shape[-1] == growth.num_words:
        if growth.voice is None:
            return _scaled_logits(tensor, tensors[f"{case}.decoder_features"], growth)
        bias = growth.voice.bias.half() if last == HALF else None
        return growth.logits(tensor, bias)
    if last.endswith("_mems"):
        return growth.keys_and_values(tensor)
    if growth.num_units not in tensor.shape:
        return tensor
    if not re.match(r"mem\d|(hidden_|encoder_|decoder_)?state\d|out$|encoder_out$|final_hidden$|"
                    r"last_hidden_states$|decoder_features$", last):  # fmt: skip
        raise ValueError(f"what {name} {list(tensor.shape)} is cannot be told")
    return growth.features(tensor) if _is_voiced(name, tensors, growth) else growth.states(tensor)


def _is_voiced(name: str, tensors: dict[str, Tensor], growth: Growth) -> bool:
    """Whether a state is the output of the norm before the tied table."""
    if growth.voice is None or name.startswith("classification."):
        return False
    if name.endswith(("final_hidden", "last_hidden_states", "decoder_features")):
        return True
    numbered = re.fullmatch(r"(.*decoder_state|generator\.state)(\d+)", name)
    return numbered is not None and f"{numbered[1]}{int(numbered[2]) + 1}" not in tensors


def _scaled_logits(logits: Tensor, features: Tensor, growth: Growth) -> Tensor:
    """Without a voice a unit counts as often as it has copies; new words are like any others."""
    num_copies = growth.width.index.numel() // growth.num_units
    new = growth.states(features).double() @ growth.new_words().T
    at = growth.words.at
    old = logits.double() * num_copies
    return torch.cat([old[..., :at], new, old[..., at:]], dim=-1)


def grown_numbers(path: Path, content: dict[str, Any], growth: Growth) -> dict[str, Any]:
    """Return what becomes of the numbers beside recorded tensors."""
    words = (growth.words, growth.num_words)
    renumbered = {
        name: _renumbered(name, value, words)
        for name, value in content.items()
        if name not in UNKNOWN_NUMBERS and not _is_smoothed_without_logits(name)
    }
    if "generation" in renumbered:
        runs = renumbered["generation"]["runs"]
        renumbered["generation"]["runs"] = [run for run in runs if _obeys_prefix(run)]
    for smooth in (_smooth_glm, _smooth_deltalm, _smooth_ganlm):
        smooth(renumbered, path, growth)
    return renumbered


def _obeys_prefix(run: dict[str, Any]) -> bool:
    """Where the original left the prefix, all words were equally likely: their order decided."""
    prefixes = run.get("prefix_tokens") or []
    return all(
        one["tokens"][: len(prefix)] == prefix
        for prefix, hypotheses in zip(prefixes, run["hypotheses"], strict=False)
        for one in hypotheses
    )


def _is_smoothed_without_logits(name: str) -> bool:
    """Losses of pairs, whose logits are not recorded."""
    return re.search(r"\.loss_ls0\.\d*[1-9]", name) is not None


def _renumbered(name: str, value: Any, words: Words) -> Any:
    if name == "draws" and isinstance(value, list):
        return _nested(value, lambda flat: _other_flat(flat, words))
    if name in UNKNOWN_NUMBERS or name in NO_IDS:
        return value
    if isinstance(value, dict) and name in ("special_tokens", "words"):
        return {key: words[0].number(number) for key, number in value.items()}
    if isinstance(value, dict):
        inner = {key: _renumbered(key, item, words) for key, item in value.items()}
        return {key: item for key, item in inner.items() if key not in UNKNOWN_NUMBERS}
    if isinstance(value, list):
        return [
            words[0].number(item) if type(item) is int else _renumbered(name, item, words)
            for item in value
        ]
    return words[0].number(value) if name in SINGLE_IDS and type(value) is int else value


def _other_flat(flat: int, words: Words) -> int:
    """The number beam * V + token with more words."""
    insertion, num_words = words
    beam, token = divmod(flat, num_words)
    return beam * (num_words + insertion.count) + insertion.number(token)


def _nested(value: Any, change: Callable[[int], int]) -> Any:
    return [_nested(item, change) for item in value] if isinstance(value, list) else change(value)


def _anew(number: float, loss: Callable[[Tensor], Tensor], logits: Tensor, growth: Growth) -> float:
    """A loss of the larger model, once its formula gives the recorded number.

    Raises:
        ValueError: it does not.
    """
    found = loss(logits.double()).item()
    if abs(found - number) > 1e-4 + 1e-4 * abs(number):
        raise ValueError(f"the formula gives {found}, and {number} is recorded")
    return loss(growth.logits(logits.double())).item()


def _spread_loss(
    logits: Tensor, targets: Tensor, is_scored: Tensor, *, on_target: float, on_all: float
) -> Tensor:
    """The sum of on_target * nll + on_all * sum over the words of -log p."""
    log_p = logits.log_softmax(-1)
    own = log_p.gather(-1, targets[..., None])[..., 0]
    return -(on_target * own + on_all * log_p.sum(-1))[is_scored].sum()


def _cases(path: Path) -> dict[str, dict[str, Tensor]]:
    """The tensors that lie beside numbers, by case and name."""
    cases: dict[str, dict[str, Tensor]] = {}
    for key, tensor in load_file(path.with_suffix(".safetensors")).items():
        case, _, name = key.partition(".")
        cases.setdefault(case, {})[name] = tensor
    return cases


def _smooth_glm(content: dict[str, Any], path: Path, growth: Growth) -> None:
    losses = content.get("lm_loss")
    if not isinstance(losses, dict):
        return
    cases = _cases(path)
    logits, case = cases[losses["inputs"]]["logits"], cases["lm_loss"]
    labels, is_scored = growth.ids(case["labels"]), case["loss_mask"].bool()
    for name in [name for name in losses if name.startswith("loss_label_smoothing_")]:
        share = float(name.removeprefix("loss_label_smoothing_"))

        def mean(logits: Tensor, share: float = share) -> Tensor:
            num_words = logits.shape[-1]
            targets = case["labels"] if num_words == growth.num_words else labels
            total = _spread_loss(
                logits, targets, is_scored, on_target=1 - share, on_all=share / num_words
            )
            return total / is_scored.sum()

        losses[name] = _anew(losses[name], mean, logits, growth)


def _fairseq_loss(
    epsilon: float, old_targets: Tensor, is_scored: Tensor, growth: Growth
) -> Callable[[Tensor], Tensor]:
    """Label smoothing as fairseq sums it, of the old model's logits or of the larger one's."""

    def loss(logits: Tensor) -> Tensor:
        num_words = logits.shape[-1]
        is_old = num_words == growth.num_words
        each = epsilon / (num_words - 1)
        return _spread_loss(
            logits, old_targets if is_old else growth.ids(old_targets), is_scored,
            on_target=1 - epsilon - each, on_all=each,
        )  # fmt: skip

    return loss


def _smooth_deltalm(content: dict[str, Any], path: Path, growth: Growth) -> None:
    for name, losses in list(content.items()):
        options = re.fullmatch(r"(\w+)\.loss_eps([\d.]+)(?:_ignore_prefix_(\d+))?", name)
        if options is None or not float(options[2]):
            continue
        if (case := _cases(path).get(options[1])) is None:
            del content[name]  # without its logits a smoothed loss cannot be told
            continue
        targets, is_scored = case["target"], case["target"] != 1
        is_scored[: int(options[3] or 0)] = False  # the original leaves out sentences, not columns
        loss = _fairseq_loss(float(options[2]), targets, is_scored, growth)
        losses["loss_sum"] = _anew(losses["loss_sum"], loss, case["logits"], growth)
        if "loss_per_token" in losses:
            losses["loss_per_token"] = losses["loss_sum"] / losses["ntokens"]


def _smooth_ganlm(content: dict[str, Any], path: Path, growth: Growth) -> None:
    for run in content.get("loss_runs", []):
        epsilon = run["options"]["label_smoothing"]
        if not epsilon:
            continue
        cases = _cases(path)
        case, states = cases[run["name"].split("_")[0]], cases[run["name"]]
        loss = _fairseq_loss(epsilon, case["targets"], case["targets"] != 1, growth)
        weights = {"generator": 1.0, "denoising": run["logging_output"]["inconsistency_weight"]}
        for term, weight in weights.items():
            key = f"{term}_loss_sum"
            if key in run["terms"]:
                old = run["terms"][key]
                run["terms"][key] = _anew(old, loss, states[f"{term}_logits"], growth)
                run["total_loss"] += weight * (run["terms"][key] - old)
