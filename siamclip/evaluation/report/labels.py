"""What the metrics are called and mean, and which of them are shown where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

METRIC_LABELS = {
    "auc": "AUC",
    "eer": "EER",
    "accuracy": "Accuracy",
    "precision": "Precision",
    "recall": "Recall (TAR)",
    "f1": "F1",
    "far": "False accept rate",
    "frr": "False reject rate",
    "average_precision": "Average precision",
    "tar_at_far_0.1": "TAR at FAR 10%",
    "tar_at_far_0.01": "TAR at FAR 1%",
    "tar_at_far_0.001": "TAR at FAR 0.1%",
    "tar_at_far_0.0001": "TAR at FAR 0.01%",
    "ece": "Calibration error (ECE)",
    "rank1": "Rank-1",
    "rank5": "Rank-5",
    "rank10": "Rank-10",
    "mAP": "mAP",
}
COMPARED = (
    "auc", "eer", "accuracy", "f1", "tar_at_far_0.1", "tar_at_far_0.01", "tar_at_far_0.001", "tar_at_far_0.0001",
    "rank1", "mAP",
)  # fmt: skip
NOT_IN_COMPARISON = ("tar_at_far_0.0001",)  # for want of room on the page; the table of all metrics has it
CARDS = ("auc", "eer", "accuracy", "f1", "tar_at_far_0.01", "rank1")
DEFINITIONS = (
    ("Distance", "Euclidean, between embeddings of length one: 0 is identical, 2 opposite. Lower is more alike."),
    ("AUC", "The probability that a same pair is nearer than a different one."),
    ("FAR, FRR", "False accept rate: share of different pairs judged same. False reject rate: share of same pairs "
     "judged different."),
    ("EER", "Equal error rate: the rate at which FAR and FRR are equal, whatever the threshold."),
    ("TAR at FAR x", "The share of same pairs judged same at the largest threshold that accepts at most a share x of "
     "different pairs."),
    ("Accuracy, precision, recall, F1", "At the threshold. “Same” is the positive class."),
    ("Average precision", "Precision, averaged over the recall gained as the threshold rises."),
    ("Rank-k, mAP", "Each photo is looked for among all the others: the share whose first k answers hold its own "
     "identity, and the mean over photos of the average precision of their ranking."),
    ("ECE", "Expected calibration error: the calibrated probability of “same” against the share that is the same, as a "
     "mean difference over ten bins. Chance alone makes it larger, the more so the fewer the pairs."),
    ("95% interval", "From a bootstrap that draws identities, for pairs that share an identity are not independent. "
     "The threshold is held fixed."),
)  # fmt: skip


def threshold_origin(decision: Mapping[str, Any]) -> str:
    """Where a threshold comes from, as the end of a sentence."""
    rules = {
        "f1": "the best F1",
        "accuracy": "the best accuracy",
        "eer": "equal error rates",
        "far": f"a false accept rate of at most {decision['target_far']}",
    }
    rule = rules[decision["rule"]]
    if decision["chosen_on"] == "validation":
        return f"the one with {rule} on validation identities, which are not among those that are reported"
    return f"the one that the checkpoint stores, with {rule} on the validation identities of its training"
