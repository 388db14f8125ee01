"""Which packages the metrics need, so that a run can check them before its first step."""

from collections.abc import Iterable

from unblank.extras import require_package

__all__ = ["require_metric_packages"]

_PACKAGES = {
    "bleu": ("sacrebleu",),
    "chrf": ("sacrebleu",),
    "chrf++": ("sacrebleu",),
    "off target": ("sklearn",),
    "rouge": ("rouge_score", "nltk"),
    "meteor": ("nltk",),
    "matthews": ("sklearn",),
    "pearson": ("scipy",),
    "spearman": ("scipy",),
}
"""Name of a metric -> the packages that compute it; the others need none."""


def require_metric_packages(metrics: Iterable[str]) -> None:
    """Check that all packages of some metrics are there, without importing them.

    Args:
        metrics: names of texts' metrics and of labels' metrics.

    Raises:
        ImportError: one is not; the message names the metric, the package and its extra.
    """
    for metric in metrics:
        for package in _PACKAGES.get(metric, ()):
            require_package(package, f"the metric {metric}")
