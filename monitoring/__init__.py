"""Prediction log, drift verdict and service metrics."""
