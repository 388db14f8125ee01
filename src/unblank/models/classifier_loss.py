"""The loss of a classifier, for each kind of problem that transformers knows.

Shapes: `B` rows, `C` classes.
"""

from torch import Tensor
from torch.nn import functional

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
        labels: int64[B], classes; or float[B] or [B, C], values to meet (regression) or
            probabilities of independent labels. None for no loss.
        problem_type: "regression", "single_label_classification" or "multi_label_classification",
            as in a configuration of transformers; None for regression if there is one score, else
            by the dtype of the labels.
        num_items: labels of a whole step, by which the sum is divided; None for these.

    Raises:
        ValueError: an unknown problem type.
    """
    if labels is None:
        return None
    scores_BC = scores_BC.float()
    if problem_type is None:
        problem_type = _problem_of(scores_BC, labels)
    if problem_type == "single_label_classification":
        loss_sum = functional.cross_entropy(scores_BC, labels.view(-1), reduction="sum")
    elif problem_type == "regression":
        values = labels.float().view_as(scores_BC)
        loss_sum = functional.mse_loss(scores_BC, values, reduction="sum")
    elif problem_type == "multi_label_classification":
        loss_sum = functional.binary_cross_entropy_with_logits(
            scores_BC, labels.float(), reduction="sum"
        )
    else:
        raise ValueError(
            f"problem_type is {problem_type!r}: choose regression, single_label_classification or "
            "multi_label_classification"
        )
    return loss_sum / (labels.numel() if num_items is None else num_items)


def _problem_of(scores_BC: Tensor, labels: Tensor) -> str:
    if scores_BC.shape[1] == 1:
        return "regression"
    if labels.is_floating_point():
        return "multi_label_classification"
    return "single_label_classification"
