"""Prompt x model experiments: templates, rows, results, their files and their comparison; no engine in here."""
