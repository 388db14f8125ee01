"""Tasks as the original program lays them out and scores them, at 1e-4.

The recorded examples go through our templates and tokenizer; Part A, blank, candidates, scores,
losses and heads must be the recorded ones. What a folder lacks is skipped by name.
"""

from dataclasses import replace

import pytest
import torch
from recordings import read_json, recorded
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from unblank.finetuning.labels.classifier_rows import RowEncoder
from unblank.generation.score import Cloze, score_batch
from unblank.models.glm import GlmInfillForSequenceClassification
from unblank.objectives.cloze import CLOZE_LOSSES, cloze_loss
from unblank.prompting import load_task, make_examples
from unblank.prompting.patterns import fit_pattern, parse_pattern
from unblank.prompting.scoring import encode_example, score_prompts
from unblank.tokenization.special import special_ids

TOLERANCE = {"atol": 1e-4, "rtol": 1e-4}

ROLES = {"sop": "sop", "eop": "eop", "ENC": "cls", "MASK": "mask", "sep": "sep", "unk": "unk"}
ROLES |= {"eos": "eos", "pad": "pad", "gMASK": "gmask", "sMASK": "smask", "dBLOCK": "dblock"}


@pytest.fixture(scope="module")
def facts(glm_dir):
    return read_json(glm_dir / "downstream.json")


@pytest.fixture(scope="module")
def cases(glm_dir):
    return recorded(glm_dir / "downstream.safetensors")


@pytest.fixture(scope="module")
def tokenizer(facts, glm_sizes):
    """The toy tokenizer of the recordings: words and single marks, leading space ignored."""
    special = glm_sizes["special_tokens"]
    names = glm_sizes["special_token_strings"]
    vocabulary = dict(facts["toy_tokenizer"]["words"])
    vocabulary |= {names[role]: token_id for role, token_id in special.items()}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token=names["unk"]))
    words = Regex(r"[A-Za-z0-9']+|[^\sA-Za-z0-9]")
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(words, behavior="isolated"),
            pre_tokenizers.Split(Regex(r"\s+"), behavior="removed"),
        ]
    )
    core.decoder = decoders.Fuse()
    core.add_special_tokens(sorted(set(names.values())))
    absent = {"gMASK", "sMASK", "dBLOCK"} - special.keys()
    shared = {f"{ROLES[role]}_token": names["MASK"] for role in absent}
    fast = PreTrainedTokenizerFast(tokenizer_object=core, extra_special_tokens=shared)
    ids = special_ids(fast)
    assert {role: getattr(ids, ours) for role, ours in ROLES.items() if role in special} == special
    return fast


def records_of(name, facts):
    """The recorded examples as records that our templates read."""
    if name == "copa":
        return [
            {"premise": e["text_a"], **e["meta"], "label": e["label"]}
            for e in facts["examples"]["copa"]
        ]
    first, second = {"rte": ("premise", "hypothesis"), "boolq": ("passage", "question")}[name]
    return [{first: a, second: b, "label": label} for a, b, label in facts["examples"][name]]


def prompts_of(name, facts, tokenizer, max_length):
    task = load_task(name)
    examples = [made for r in records_of(name, facts) for made in make_examples(task, r)]
    return task, [
        encode_example(tokenizer, task, example, task.pattern(0), max_length=max_length)
        for example in examples
    ]


def of_case(cases, name):
    if name not in cases:
        pytest.skip(f"{name} is not recorded in this folder")
    return cases[name]


@pytest.mark.parametrize("name", ["rte", "boolq"])
def test_single_token_tasks_are_laid_out_and_scored_like_the_original(
    name, facts, cases, tokenizer, glm
):
    case = of_case(cases, f"single_token_cloze_{name}")
    _, prompts = prompts_of(name, facts, tokenizer, case["batch.text"].shape[1])
    with torch.no_grad():
        scores = score_prompts(glm, special_ids(tokenizer), prompts)
    losses = []
    for row, (prompt, scores_L) in enumerate(zip(prompts, scores, strict=True)):
        sep = int(case["batch.mask"][row])
        assert list(prompt.cloze.token_ids) == case["batch.text"][row, :sep].tolist()
        assert prompt.cloze.blank == int(case["batch.position"][row, 0, sep])
        words = [prompt.cloze.candidates[slots[0]] for slots in prompt.slots]
        order = [words.index((token,)) for token in case["batch.target"][row].tolist()]
        torch.testing.assert_close(scores_L[order], case["scores_softmax"][row], **TOLERANCE)
        differences = case["scores"][row] - case["scores"][row, 0]
        torch.testing.assert_close(scores_L[order] - scores_L[order][0], differences, **TOLERANCE)
        target = torch.nn.functional.one_hot(case["batch.label"][row], len(order)).float()
        losses.append(cloze_loss(scores_L[order], target))
    expected = facts[f"single_token_cloze_{name}.loss"]
    assert float(torch.stack(losses).mean()) == pytest.approx(expected, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("name", ["rte", "boolq"])
def test_the_same_tasks_by_summed_log_probabilities(name, facts, cases, tokenizer, glm):
    case = of_case(cases, f"single_token_cloze_{name}_multi")
    _, prompts = prompts_of(name, facts, tokenizer, case["batch.text"].shape[2])
    special = special_ids(tokenizer)
    with torch.no_grad():
        scores = score_batch(
            glm, [p.cloze for p in prompts], sop_id=special.sop, end_id=special.eop
        )
    for row, (prompt, scores_C) in enumerate(zip(prompts, scores, strict=True)):
        sep = int(case["batch.mask"][row, 0])
        first = [(int(target[sep]),) for target in case["batch.target"][row]]
        order = [list(prompt.cloze.candidates).index(token) for token in first]
        torch.testing.assert_close(scores_C[order], case["logits"][row], **TOLERANCE)


@pytest.mark.parametrize("name", ["multi_token_cloze", "multi_token_cloze_fast"])
def test_copa_is_laid_out_and_scored_like_the_original(name, facts, cases, tokenizer, glm):
    case = of_case(cases, name)
    _, prompts = prompts_of("copa", facts, tokenizer, case["batch.text"].shape[-1])
    with torch.no_grad():
        scores = score_prompts(glm, special_ids(tokenizer), prompts)
    expected = case.get("logits_lp0.0", case.get("logits"))
    for row, (prompt, scores_L) in enumerate(zip(prompts, scores, strict=True)):
        sep = int(case["batch.mask"][row].flatten()[0])
        text = case["batch.text"][row].reshape(-1, case["batch.text"].shape[-1])[0]
        assert list(prompt.cloze.token_ids) == text[:sep].tolist()
        torch.testing.assert_close(scores_L, expected[row], **TOLERANCE)


def test_the_mean_is_the_length_penalty_of_one(facts, cases, tokenizer, glm):
    case = of_case(cases, "multi_token_cloze")
    if "logits_lp1.0" not in case:
        pytest.skip("scores with length penalty 1 are not recorded")
    _, prompts = prompts_of("copa", facts, tokenizer, case["batch.text"].shape[-1])
    special = special_ids(tokenizer)
    with torch.no_grad():
        scores = score_batch(
            glm, [p.cloze for p in prompts], sop_id=special.sop, end_id=special.eop,
            normalization="mean",
        )  # fmt: skip
    torch.testing.assert_close(torch.stack(scores), case["logits_lp1.0"], **TOLERANCE)


@pytest.mark.parametrize("name", list(CLOZE_LOSSES))
def test_losses_are_those_of_the_original(name, facts, cases):
    case = of_case(cases, "multi_token_cloze")
    if name not in facts.get("multi_token_cloze.loss", {}):
        pytest.skip(f"the loss {name} is not recorded")
    scores = case["logits_lp0.0"]
    targets = torch.nn.functional.one_hot(case["batch.label"], scores.shape[1]).float()
    losses = [cloze_loss(*pair, name) for pair in zip(scores, targets, strict=True)]
    expected = facts["multi_token_cloze.loss"][name]
    assert float(torch.stack(losses).mean()) == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_a_long_text_is_shortened_like_the_original_if_its_fields_give_way_in_its_order(
    facts, cases, tokenizer
):
    name = next((name for name in cases if name.startswith("truncation_")), "truncation")
    case, example = of_case(cases, name), facts[f"{name}.example"]
    fields = {"passage": example["text_a"], "question": example["text_b"]}
    sep = int(case["batch.mask"][0])
    filled = fit_pattern(
        tokenizer,
        special_ids(tokenizer),
        load_task("boolq").pattern(0).pattern,
        fields,
        shorten={"question": "end", "passage": "end"},
        max_tokens=case["batch.text"].shape[1] - 1,
    )
    assert list(filled.token_ids) == case["batch.text"][0, :sep].tolist()


def test_multiple_choice_without_an_end(facts, cases, tokenizer, glm):
    case = of_case(cases, "multichoice")
    special = special_ids(tokenizer)
    for row, entry in enumerate(facts["examples"]["multichoice"]):
        text = entry["inputs_pretokenized"]
        pattern = parse_pattern(text if "[MASK]" in text else text + " [MASK]")
        sep = int(case["batch.mask"][row, 0])
        filled = fit_pattern(tokenizer, special, pattern, {}, shorten={}, max_tokens=sep)
        assert list(filled.token_ids) == case["batch.text"][row, 0, :sep].tolist()
        choices = tokenizer(entry["choices_pretokenized"], add_special_tokens=False)["input_ids"]
        blank = filled.token_ids.index(special.mask)
        with torch.no_grad():
            scores = score_batch(
                glm, [Cloze(filled.token_ids, blank, choices)], sop_id=special.sop, end_id=None
            )[0]
        torch.testing.assert_close(scores, case["logits"][row, : len(choices)], **TOLERANCE)


def test_the_classifier_pools_the_token_that_the_original_pools(facts, cases, tokenizer, glm):
    case = of_case(cases, "classification_rte")
    ids, sep = case["batch.text"], case["batch.mask"]
    classifier = classifier_of(glm, case)
    columns = {"cls": torch.zeros_like(sep), "pad": sep - 1, "start": sep}
    for name, pooled in columns.items():
        if f"logits_pool_{name}" not in case:
            continue
        with torch.no_grad():
            logits = classifier(
                input_ids=ids,
                position_ids=case["batch.position"].transpose(0, 1),
                prefix_lengths=sep,
                pooled_columns=pooled,
            ).logits
        torch.testing.assert_close(logits, case[f"logits_pool_{name}"], **TOLERANCE)
        if name == "cls" and "classification_rte.loss_pool_cls" in facts:
            loss = torch.nn.functional.cross_entropy(logits, case["batch.label"])
            assert float(loss) == pytest.approx(facts["classification_rte.loss_pool_cls"], rel=1e-4)


@torch.no_grad()
def test_a_fine_tuned_classifier_opens_with_its_head(cases, convert_glm, glm_checkpoints):
    case = of_case(cases, "classification_rte")
    compared = 0
    for name in glm_checkpoints(has_head=True):
        classifier = GlmInfillForSequenceClassification.from_pretrained(convert_glm(name)).eval()
        if not torch.equal(classifier.dense.weight, case["head.pool_layer.weight"]):
            continue  # another head than the recorded one
        logits = classifier(
            input_ids=case["batch.text"],
            position_ids=case["batch.position"].transpose(0, 1),
            prefix_lengths=case["batch.mask"],
        ).logits
        torch.testing.assert_close(logits, case["logits_pool_cls"], **TOLERANCE)
        compared += 1
    if not compared:
        pytest.skip("no checkpoint has the recorded head")


def classifier_of(glm, case):
    config = type(glm.config)(**{**glm.config.to_dict(), "num_labels": 2})
    config.num_labels = case["head.multichoice_head.bias"].shape[0]
    classifier = GlmInfillForSequenceClassification(config).eval()
    classifier.model.load_state_dict(glm.model.state_dict())
    classifier.dense.weight.data = case["head.pool_layer.weight"]
    classifier.dense.bias.data = case["head.pool_layer.bias"]
    classifier.out_proj.weight.data = case["head.multichoice_head.weight"]
    classifier.out_proj.bias.data = case["head.multichoice_head.bias"]
    return classifier


def test_choices_are_scored_by_a_head_like_the_original(facts, cases, tokenizer, glm):
    case = of_case(cases, "multiple_choice_head_copa")
    task = load_task("copa")
    special = special_ids(tokenizer)
    encoder = RowEncoder(
        tokenizer=tokenizer,
        special=special,
        task=task,
        max_length=case["batch.text"].shape[-1],
        between=(special.sep,),
    )
    classifier = classifier_of(glm, case)
    for number, record in enumerate(records_of("copa", facts)):
        (example,) = make_examples(task, record)
        # The original leaves the choices as they are written, and their case.
        choices = tuple(record[name] for name in ("choice1", "choice2"))
        rows = encoder.rows(replace(example, candidates=choices))
        for row, text, sep in zip(
            rows, case["batch.text"][number], case["batch.mask"][number], strict=True
        ):
            # "because" and ", so" join the sentence in a cloze; here the comma is not written.
            expected = text[:sep].tolist()
            assert [i for i in row.token_ids if i != comma_of(tokenizer)] == expected
        with torch.no_grad():
            logits = classifier(
                input_ids=case["batch.text"][number],
                position_ids=case["batch.position"][number].transpose(0, 1),
                prefix_lengths=case["batch.mask"][number],
            ).logits
        torch.testing.assert_close(logits[:, 0], case["logits"][number], **TOLERANCE)


def comma_of(tokenizer):
    return tokenizer.convert_tokens_to_ids(",")


def test_long_answers_in_segments_are_the_sum_of_their_blanks(facts, cases, tokenizer, glm):
    case = of_case(cases, "multi_token_cloze_segmented")
    special = special_ids(tokenizer)
    rows = case["batch.text"].shape[1]
    scores = []
    for row in range(rows):
        sep = int(case["batch.mask"][0, row])
        text = case["batch.text"][0, row].tolist()
        targets = case["batch.target"][0, row][case["batch.logit_mask"][0, row].bool()].tolist()
        blank = int(case["batch.position"][0, row, 0, sep])
        with torch.no_grad():
            (score,) = score_batch(
                glm, [Cloze(text[:sep], blank, [targets])], sop_id=special.sop, end_id=None
            )
        scores.append(score[0])
    torch.testing.assert_close(torch.stack(scores), case["logits"][0], **TOLERANCE)
    owners = case["batch.segment_id"][0]
    summed = torch.zeros(int(owners.max()) + 1).index_add(0, owners, torch.stack(scores))
    torch.testing.assert_close(summed, case["summed"][0], **TOLERANCE)


def test_a_text_read_left_to_right_scores_its_end(facts, cases, tokenizer, glm):
    case = of_case(cases, "multichoice_unidirectional")
    special = special_ids(tokenizer)
    examples, choices = case["logits"].shape
    for number in range(examples):
        for choice in range(choices):
            if not case["batch.loss_mask"][number, choice]:
                continue
            sep = int(case["batch.mask"][number, choice])
            targets = case["batch.target"][number, choice]
            is_scored = case["batch.logit_mask"][number, choice].bool()
            last = int(is_scored.nonzero()[-1])
            text = case["batch.text"][number, choice].tolist()
            read = [*text[sep + 1 : last + 1], int(targets[last])]
            num_scored = int(is_scored.sum())
            parts = [read, read[:-num_scored]]
            with torch.no_grad():
                whole, before = (
                    score_batch(
                        glm,
                        [Cloze(text[:sep], sep - 1, [part])],
                        sop_id=special.sop,
                        end_id=None,
                    )[0][0]
                    for part in parts
                )
            torch.testing.assert_close(
                whole - before, case["logits"][number, choice], atol=5e-4, rtol=1e-4
            )
