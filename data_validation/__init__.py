"""Expectation suites and the run that turns a delivery into a verdict."""
