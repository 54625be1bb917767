"""How the metrics of a product model read, in the order of the page."""

from models.evaluation.names import Names

NAMES = Names(
    metrics={
        "article_type_accuracy": ("Article type: accuracy", "higher"),
        "article_type_macro_f1": ("Article type: macro F1", "higher"),
        "sub_category_accuracy": ("Sub-category: accuracy", "higher"),
        "master_category_accuracy": ("Master category: accuracy", "higher"),
        "expected_calibration_error": ("Calibration error (ECE)", "lower"),
        "price_rmsle": ("Price: RMSLE", "lower"),
        "price_interval_coverage": ("Price: inside the predicted range", None),
        "title_to_image_recall_at_10": ("Title finds its photo: recall@10", "higher"),
        "retrieval_ndcg_at_10": ("Title finds photos of its type: nDCG@10", "higher"),
        "knn_f1": ("Embedding: nearest-neighbour F1", "higher"),
        "fault_auc_lowest": ("Faults: AUC, worst known kind", "higher"),
        "fault_auc_unseen": ("Faults: AUC, unseen kind", "higher"),
        "sentiment_auc": ("Reviews: AUC of recommending", "higher"),
        "invariance_case_whitespace": ("Unchanged by case and spaces", "higher"),
        # Judged by gates only: two versions are timed at different moments of a busy machine.
        "latency_p50_ms": ("One prediction: median, ms", None),
        "latency_p95_ms": ("One prediction: 95th percentile, ms", None),
    },
    headline=(
        "article_type_accuracy",
        "price_rmsle",
        "title_to_image_recall_at_10",
        "knn_f1",
        "sentiment_auc",
        "expected_calibration_error",
    ),
    peers={
        "article_type_accuracy": ("majority_accuracy", "linear_photo_accuracy", "linear_title_accuracy"),
        "price_rmsle": ("median_price_rmsle", "linear_title_price_rmsle"),
    },
    does={
        "majority_accuracy": "always the most frequent type",
        "median_price_rmsle": "always the median price",
        "linear_photo_accuracy": "a linear model on tiny photos",
        "linear_title_accuracy": "a linear model on titles",
        "linear_title_price_rmsle": "a linear model on titles",
    },
    slices={
        "master_category": "Category",
        "price_band": "Price",
        "brand_tier": "Brand",
        "has_image": "Has an image",
        "has_description": "Has a description",
        "modalities": "Shown",
    },
)
