"""Metrics with intervals, slices, gates and the look of reports."""
