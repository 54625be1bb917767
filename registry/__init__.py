"""Register, resolve, fetch, verify, promote and roll back model versions in MLflow."""
