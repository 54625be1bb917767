"""One answer as the flat row that monitoring logs, and compares with the same rows of the training reference."""

from typing import Any

from models.recommender.answers import Query, Recommendations

REFERENCE_SPEC: dict[str, Any] = {
    "numerical": ["history_length", "new_events", "history_popularity", "shown_popularity", "shown"],
    "categorical": ["basis", "top_reason"],
    "text": [],
    "embedding": None,
    "prediction": ["predicted_item_id"],
    "confidence": None,
    "identity": ["asker"],
}
"""What each column of the reference is (`reference.json`). An answer is right where its items hold the one that was chosen.

Answers to one user count once in a window; serving logs who asked as `asker`, a visitor as none.
"""


def summarise(query: Query, answer: Recommendations) -> dict[str, Any]:
    """The row for one answer; missing values are None.

    History and new events say how active users are, the two popularities what they buy and are shown: each in 0…1, the mean
    share of the catalogue's items that sold less.
    """
    return {
        "history_length": answer.history,
        "new_events": len(query.events),
        "history_popularity": answer.history_popularity,
        "basis": answer.basis,
        "shown": len(answer.items),
        "shown_popularity": answer.shown_popularity,
        "top_reason": answer.items[0].reason.kind if answer.items else None,
        "predicted_item_id": [str(item.item_id) for item in answer.items],
    }
