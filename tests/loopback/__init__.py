"""A Kubeflow of one machine: the API that pipelines are submitted to, and what carries out their containers as processes."""
