"""Questions: the record, its keys and how question files are read."""
