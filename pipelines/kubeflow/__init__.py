"""Pipelines on Kubeflow: ZenML's orchestrator, with what `configs.cluster` says of pods."""
