"""Reading tables: what a dataset looks like to a person and to a model."""
