"""Training in two languages at once: both prompts teach, and their answers are drawn together."""

from dataclasses import replace

import pytest
import torch
from cross_prompts import write_cross_toys
from labelled_toys import labelled_config, labelled_glm
from test_cloze import labelled

from unblank.engine.parallel import World
from unblank.finetuning.labels.cloze import ClozeScorer, Words
from unblank.finetuning.labels.scores import symmetric_kl
from unblank.finetuning.labels.settings import ClozeSettings
from unblank.finetuning.labels.steps import Sample, Sizes
from unblank.finetuning.labels.training import LabelTraining
from unblank.finetuning.run import run_finetune
from unblank.prompting import load_task, make_examples, read_examples
from unblank.prompting.asking import Asking
from unblank.prompting.scoring import score_examples


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    return write_cross_toys(tmp_path_factory.mktemp("cross"))


def training(toys, toy, micro_batch_size=None, **cloze):
    task = load_task(toys["task"])
    data = labelled(task, toy.tokenizer)
    data = replace(data, train=read_examples(task, [toys["train"]]).examples[:16])
    words = Words.of(ClozeSettings(prompts="cross", **cloze), seed=5)
    sizes = Sizes(8, micro_batch_size, 5, World(0, 1, torch.device("cpu")))
    return LabelTraining(data, ClozeScorer(data, words=words), sizes, "accuracy")


def losses(made, model):
    step = next(made.steps(None))
    total = {}
    for batch in step.batches:
        for name, loss in made.unit(model, batch, torch.device("cpu")).items():
            num = made.unit.counts(batch)[name]
            assert num == loss.num_scored
            loss_sum, count = total.get(name, (0.0, 0))
            total[name] = (loss_sum + float(loss.loss_sum.detach()), count + num)
    return {name: loss_sum / count for name, (loss_sum, count) in total.items()}


def test_the_loss_is_the_mean_of_both_prompts_and_their_divergence(toys):
    toy = labelled_glm()
    made = training(toys, toy, consistency=0.5)
    assert made.unit.weights == {"cloze": 1.0, "consistency": 0.5}
    found = losses(made, toy.model)
    task, words = load_task(toys["task"]), made._scorer._words
    surprise, apart, languages = [], [], set()
    for sample in made._steps.samples(0):
        example = made._scorer.examples[sample.index]
        language = words.other_language(task, sample)
        languages.add(language)
        in_other = replace(example, language=language)
        one, other = (
            score_examples(toy.model, toy.tokenizer, task, [asked], asking=asking)[0].double()
            for asked, asking in (
                (example, Asking("english")),
                (in_other, Asking("translated", "english")),
            )
        )
        surprise += [-s.log_softmax(0)[example.answers[0]].item() for s in (one, other)]
        p, q = one.softmax(0), other.softmax(0)
        apart.append(float((p * (p / q).log()).sum() + (q * (q / p).log()).sum()))
    assert languages == {"de", "fr"}
    assert found["cloze"] == pytest.approx(sum(surprise) / 16, rel=1e-4)
    assert found["consistency"] == pytest.approx(sum(apart) / 8, rel=1e-3)


def test_micro_batches_do_not_change_the_losses(toys):
    toy = labelled_glm()
    whole = losses(training(toys, toy, consistency=1.0), toy.model)
    parts = losses(training(toys, toy, 3, consistency=1.0), toy.model)
    assert whole == pytest.approx(parts, rel=1e-4)


def test_without_a_weight_there_is_one_loss(toys):
    toy = labelled_glm()
    assert losses(training(toys, toy), toy.model).keys() == {"cloze"}


def test_the_other_language_is_a_function_of_seed_and_draw(toys):
    task = load_task(toys["task"])
    draws = [Sample(number, number % 7, number // 7) for number in range(60)]
    first, again, other = (
        [Words(seed=seed).other_language(task, draw) for draw in draws] for seed in (1, 1, 2)
    )
    assert first == again != other
    assert 15 < first.count("de") < 45
    assert "en" not in first


def test_words_of_the_other_prompt_may_be_its_own(toys):
    toy = labelled_glm()
    made = training(toys, toy, words="own")
    task = load_task(toys["task"])
    (example,) = make_examples(task, {"text": "a film", "label": "good"})
    first, second = made._scorer.encode(example, Sample(0, 0, 0))
    assert first.cloze.candidates != second.cloze.candidates


def test_the_divergence_is_symmetric_and_nothing_between_equals():
    one, other = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 3.0])
    assert symmetric_kl(one, other) == symmetric_kl(other, one) > 0
    assert symmetric_kl(one, one + 7) == pytest.approx(0, abs=1e-6)


def test_held_out_examples_may_be_asked_otherwise(toys, tmp_path):
    cloze = ClozeSettings(prompts="cross", test_prompts="translated")
    with pytest.raises(ValueError, match="'lang'"):
        run_finetune(labelled_config(toys, tmp_path / "run", cloze=cloze))


def test_what_cannot_be_is_refused(toys, tmp_path):
    with pytest.raises(ValueError, match=r"cloze\.prompts cross"):
        ClozeSettings(prompts="english", consistency=0.1)
    config = labelled_config(
        toys, tmp_path / "run", method="classifier", cloze=ClozeSettings(prompts="english")
    )
    with pytest.raises(ValueError, match=r"cloze\.prompts"):
        run_finetune(config)
