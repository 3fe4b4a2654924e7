"""What a person sees in the terminal: live progress, and the closing table."""
