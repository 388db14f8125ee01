"""Small checkpoints of DeltaLM and GanLM in fairseq's layouts, and vocabulary files beside them."""

from argparse import Namespace
from pathlib import Path

import torch

WIDTH, FFN, POSITIONS = 64, 96, 18

Module = dict[str, torch.Tensor]


class Weights:
    """Draws tensors of a seed one after another."""

    def __init__(self, seed: int = 0) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, *shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=self.generator) * 0.1

    def linear(self, module: Module, name: str, rows: int, columns: int) -> None:
        module[f"{name}.weight"], module[f"{name}.bias"] = self(rows, columns), self(rows)

    def norm(self, module: Module, name: str) -> None:
        module[f"{name}.weight"], module[f"{name}.bias"] = 1 + self(WIDTH), self(WIDTH)

    def layer(self, module: Module, name: str, attentions: list[str], ffns: dict[str, str]) -> None:
        """Add a layer; `ffns` is the prefix of each feed-forward to the name of its norm."""
        for attention in attentions:
            for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
                self.linear(module, f"{name}.{attention}.{part}", WIDTH, WIDTH)
            self.norm(module, f"{name}.{attention}_layer_norm")
        for ffn, norm in ffns.items():
            up, down = ffn.split(",")
            self.linear(module, f"{name}.{up}", FFN, WIDTH)
            self.linear(module, f"{name}.{down}", WIDTH, FFN)
            self.norm(module, f"{name}.{norm}")


def released_deltalm(rows: int, *, has_embedding_norm: bool = True) -> Module:
    """Return the weights of a released DeltaLM of 4 + 2 layers."""
    draw, module = Weights(), {}
    table = draw(rows, WIDTH)
    for side in ("src", "tgt"):
        module[f"{side}_embedding.embed_tokens.weight"] = table.clone()
        module[f"{side}_embedding.embed_positions.weight"] = draw(POSITIONS, WIDTH)
        if has_embedding_norm:
            draw.norm(module, f"{side}_embedding.emb_layer_norm")
    for layer in range(4):
        ffn = {"ffn.fc1,ffn.fc2": "final_layer_norm"}
        draw.layer(module, f"encoder.layers.{layer}", ["self_attn"], ffn)
    for layer in range(2):
        ffns = {"ffn_1.fc1,ffn_1.fc2": "ffn_layer_norm", "ffn_2.fc1,ffn_2.fc2": "final_layer_norm"}
        draw.layer(module, f"decoder.layers.{layer}", ["self_attn", "encoder_attn"], ffns)
    return module


def fairseq_deltalm(rows: int) -> Module:
    """Return the same weights as fairseq's trainer saves them."""
    module = {"encoder.version": torch.ones(1), "decoder.version": torch.ones(1)}
    names = {
        "src_embedding.": "encoder.", "tgt_embedding.": "decoder.",
        "emb_layer_norm": "layernorm_embedding", "ffn_1.fc1": "fc3", "ffn_1.fc2": "fc4",
        "ffn_2.": "", "ffn.": "",
    }  # fmt: skip
    for key, tensor in released_deltalm(rows).items():
        for old, new in names.items():
            key = key.replace(old, new)
        module[key] = tensor
    module["decoder.output_projection.weight"] = module["decoder.embed_tokens.weight"].clone()
    return module


def ganlm(rows: int) -> Module:
    """Return the weights of a GanLM of 2 encoder, 2 generator and 1 discriminator layers."""
    draw, module = Weights(), {}
    table = draw(rows, WIDTH)
    stacks = {"encoder.discriminator": 2, "decoder.generator": 2, "decoder.discriminator": 1}
    for stack, layers in stacks.items():
        module[f"{stack}.embed_tokens.weight"] = table.clone()
        module[f"{stack}.embed_positions.weight"] = draw(POSITIONS, WIDTH)
        draw.norm(module, f"{stack}.layernorm_embedding")
        attentions = ["self_attn"] + ["encoder_attn"] * stack.startswith("decoder")
        for layer in range(layers):
            draw.layer(
                module, f"{stack}.layers.{layer}", attentions, {"fc1,fc2": "final_layer_norm"}
            )
    bias = "encoder.discriminator.relative_position.relative_attention_bias.weight"
    module[bias] = draw(8, 1)
    module["decoder.generator.output_projection.weight"] = table.clone()
    head = "decoder.discriminator.output_projection"
    draw.linear(module, f"{head}.dense", WIDTH, WIDTH)
    draw.norm(module, f"{head}.layer_norm")
    draw.linear(module, head, 2, WIDTH)
    return module


def save_fairseq(path: Path, module: Module, **arguments: object) -> Path:
    """Write a checkpoint as fairseq's trainer does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cfg = {"model": Namespace(**arguments), "task": {"_name": "translation"}}
    torch.save({"args": None, "cfg": cfg, "model": module, "extra_state": {"epoch": 3}}, path)
    return path


def train_pieces(folder: Path, texts: list[str], vocab_size: int) -> Path:
    """Train a SentencePiece model as XLM-R's was, and write `spm.model` and `dict.txt`."""
    import sentencepiece

    folder.mkdir(parents=True, exist_ok=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_prefix=str(folder / "spm"), vocab_size=vocab_size,
        model_type="unigram", normalization_rule_name="nmt_nfkc", character_coverage=1.0,
        minloglevel=2, hard_vocab_limit=False,
    )  # fmt: skip
    (folder / "spm.vocab").unlink()
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spm.model"))
    lines = [f"{pieces.id_to_piece(i)} {10**6 - i}\n" for i in range(3, pieces.get_piece_size())]
    (folder / "dict.txt").write_text("".join(lines), encoding="utf-8")
    return folder
