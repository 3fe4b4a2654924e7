"""Host side of the sandbox: open a sandbox on a dataset, open sessions in it, run cells."""
