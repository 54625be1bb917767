"""What a version may have no task for, and not read; `models.product.lacking` decides it from training rows.

A task without enough labels is left out: no encoder, loss, answer or metric of it. A part that training hardly saw is not read,
also where a client sends it: what an untrained tower says of it would be noise in every answer.
"""

from collections.abc import Mapping
from typing import Literal, get_args

from pydantic import Field

from configs.schema import CorruptionConfig, FaultKind, PositiveInt, StrictModel

Task = Literal["master_category", "sub_category", "article_type", "price", "sentiment", "retrieval", "text", "quality"]
"""retrieval: a title finds its photo; text: the answer to a text does not change with its case and spaces."""

Segment = Literal["title", "description", "image", "attributes"]

TERMS: Mapping[Task, tuple[str, ...]] = {
    "master_category": ("master_category",),
    "sub_category": ("sub_category",),
    "article_type": ("article_type", "embedding_type"),
    "price": ("price",),
    "sentiment": ("sentiment",),
    "retrieval": ("contrastive",),
    "text": (),
    "quality": ("quality",),
}
"""Terms of the training loss that belong to each task."""

METRICS: Mapping[Task, tuple[str, ...]] = {
    "master_category": ("master_category_accuracy",),
    "sub_category": ("sub_category_accuracy",),
    "article_type": (
        "article_type_accuracy",
        "article_type_macro_f1",
        "expected_calibration_error",
        "knn_f1",
        "retrieval_ndcg_at_10",
        "invariance_case_whitespace",
        "majority_accuracy",
        "linear_title_accuracy",
        "linear_photo_accuracy",
    ),
    "price": ("price_rmsle", "price_interval_coverage", "median_price_rmsle", "linear_title_price_rmsle"),
    "sentiment": ("sentiment_auc",),
    "retrieval": ("title_to_image_recall_at_10", "retrieval_ndcg_at_10"),
    "text": ("invariance_case_whitespace",),
    "quality": ("fault_auc_lowest", "fault_auc_unseen", *(f"fault_auc_{kind}" for kind in get_args(FaultKind))),
}
"""Metrics that say nothing without the task."""


class TasksConfig(StrictModel):
    """From how much data on a task is one, and a part is read."""

    min_rows: PositiveInt = Field(
        20,
        description="training rows with a label, or a part, below which there is no such task, or part; as many as the smallest "
        "slice that evaluation reports: of fewer, an accuracy is known to no better than 20 points",
    )
    min_classes: int = Field(2, ge=2, description="different labels below which there is nothing to tell apart")


class Lacks(StrictModel):
    """What a version has no task for and does not read, each with the reason; all empty for a catalogue that has everything."""

    tasks: dict[Task, str] = Field(default_factory=dict, description="task: why it is none, such as 'no prices'")
    parts: dict[Segment, str] = Field(
        default_factory=dict, description="part of a listing that is not read: why, such as 'no photos'"
    )
    faults: dict[FaultKind, str] = Field(default_factory=dict, description="kind of fault that no training row can carry: why")

    def terms(self) -> frozenset[str]:
        """Terms of the training loss that are left out."""
        return frozenset(term for task in self.tasks for term in TERMS[task])

    def metrics(self, corruption: CorruptionConfig) -> dict[str, str]:
        """Metric to the reason why it does not apply, for `Evaluation.not_applicable`; `corruption` as configured."""
        found = {metric: reason for task, reason in self.tasks.items() for metric in METRICS[task]}
        faults: dict[str, str] = {f"fault_auc_{kind}": reason for kind, reason in self.faults.items()}
        for name, kinds in (("unseen", corruption.held_out), ("lowest", corruption.trained)):
            reasons = [self.faults[kind] for kind in kinds if kind in self.faults]
            if kinds and len(reasons) == len(kinds):
                faults[f"fault_auc_{name}"] = "; ".join(dict.fromkeys(reasons))
        return faults | found

    def corruption(self, corruption: CorruptionConfig) -> CorruptionConfig | None:
        """Faults that training rows can carry; None where they can carry none that is shown in training."""
        if not self.faults:
            return corruption
        if "quality" in self.tasks:
            return None
        held_out = tuple(dict.fromkeys((*corruption.held_out, *self.faults)))
        return corruption.model_copy(update={"held_out": held_out})
