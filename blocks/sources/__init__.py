"""Where datasets come from: web addresses, files, fsspec URLs and Kaggle; listed first, then fetched under a cap."""
