"""The recommender: graph attention, collaborative, sequential and content scores, blended; see `model.py`."""
