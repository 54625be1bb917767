"""Declarations: step calls and nothing else."""
