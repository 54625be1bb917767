"""Multimodal product model."""
