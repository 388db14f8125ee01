"""The loss of a classifier, for each kind of problem that transformers knows.

Shapes: `B` rows, `C` classes.
"""

from torch import Tensor
from torch.nn import functional

from unblank.examples import IGNORE_INDEX
from unblank.models.labels import check_labels

__all__ = ["classifier_loss"]


def classifier_loss(
    scores_BC: Tensor,
    labels: Tensor | None,
    problem_type: str | None,
    num_items: Tensor | int | None = None,
) -> Tensor | None:
    """Return the loss of a classifier, a mean over its labels.

    Args:
        scores_BC: float[B, C], one score a class.
        labels: int64[B], classes, -100 where there is none; or float[B] or [B, C], values to meet
            (regression) or probabilities of independent labels. None for no loss.
        problem_type: "regression", "single_label_classification" or "multi_label_classification",
            as in a configuration of transformers; None for regression if there is one score, else
            by the dtype of the labels.
        num_items: labels of a whole step, by which the sum is divided; None for these.

    Raises:
        ValueError: an unknown problem type, labels that are not of its kind and shape, or classes
            that there are not.
    """
    if labels is None:
        return None
    scores_BC = scores_BC.float()
    if problem_type is None:
        problem_type = _problem_of(scores_BC, labels)
    _check_labels(scores_BC, labels, problem_type)
    num_labels: Tensor | int = labels.numel()
    if problem_type == "single_label_classification":
        check_labels(labels, scores_BC.shape[1], "classes")
        loss_sum = functional.cross_entropy(
            scores_BC, labels.flatten(), reduction="sum", ignore_index=IGNORE_INDEX
        )
        num_labels = (labels != IGNORE_INDEX).sum().clamp(min=1)
    elif problem_type == "regression":
        values = labels.float().reshape(scores_BC.shape)
        loss_sum = functional.mse_loss(scores_BC, values, reduction="sum")
    else:
        loss_sum = functional.binary_cross_entropy_with_logits(
            scores_BC, labels.float(), reduction="sum"
        )
    return loss_sum / (num_labels if num_items is None else num_items)


def _check_labels(scores_BC: Tensor, labels: Tensor, problem_type: str) -> None:
    num_rows = scores_BC.shape[0]
    if problem_type == "single_label_classification":
        is_right = labels.numel() == num_rows and not labels.is_floating_point()
        wanted = f"{num_rows} whole numbers, a class for each text"
    elif problem_type == "regression":
        is_right = labels.numel() == scores_BC.numel()
        wanted = f"numbers of shape {tuple(scores_BC.shape)}, one for each score"
    elif problem_type == "multi_label_classification":
        is_right = labels.shape == scores_BC.shape
        wanted = f"probabilities of shape {tuple(scores_BC.shape)}, one for each label"
    else:
        raise ValueError(
            f"problem_type is {problem_type!r}: choose regression, single_label_classification or "
            "multi_label_classification"
        )
    if not is_right:
        raise ValueError(
            f"labels are {labels.dtype} of shape {tuple(labels.shape)}, but {problem_type} takes "
            f"{wanted}: give these, or set problem_type in the configuration"
        )


def _problem_of(scores_BC: Tensor, labels: Tensor) -> str:
    if scores_BC.shape[1] == 1:
        return "regression"
    if labels.is_floating_point():
        return "multi_label_classification"
    return "single_label_classification"
