"""The MLflow model registry: register, resolve an alias, fetch and verify, promote, roll back."""
