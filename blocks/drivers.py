"""What fsspec's drivers raise, in words, whether a dataset is fetched or a storage is used; imports no driver."""

from __future__ import annotations

FINAL = (FileNotFoundError, PermissionError, NotADirectoryError, IsADirectoryError)
"""What another try does not mend."""
S3_EXTRA = "the extra s3 of Trigpoint: pip install -e '.[s3]'"
"""Where the driver of s3:// comes from."""


def lacks_key(error: Exception) -> bool:
    """Whether a driver has found no credentials, or half of them."""
    # Of botocore, which need not be installed.
    return type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError")


def reason(error: Exception) -> str:
    """What a driver says, on one line and without its full stop."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
