"""Questions: the record, its keys, question files, and where candidates come from and are proven."""
