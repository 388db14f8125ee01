"""Prompts as data: tasks written in YAML, their patterns and verbalizers, and scoring with them."""

from unblank.prompting.examples import TaskData, TaskExample, make_examples, read_examples
from unblank.prompting.predicting import Prediction, predict
from unblank.prompting.scoring import score_examples
from unblank.prompting.task import ClozeTask
from unblank.prompting.task_files import load_task, task_names

__all__ = [
    "ClozeTask",
    "Prediction",
    "TaskData",
    "TaskExample",
    "load_task",
    "make_examples",
    "predict",
    "read_examples",
    "score_examples",
    "task_names",
]
