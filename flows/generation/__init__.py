"""Making questions about a dataset: from templates, programs and models, proven, chosen and kept in its file."""
