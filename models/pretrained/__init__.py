"""Encoders that a model can start from, their tokenizers and adapters, and translation models."""
