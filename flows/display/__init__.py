"""What a person sees in the terminal: live progress, the closing table, one-sentence errors."""
