"""Makes the bucket of MLflow's files; does nothing where it is there."""

import s3fs

store = s3fs.S3FileSystem()
if not store.exists("vitrina"):
    store.mkdir("vitrina")
