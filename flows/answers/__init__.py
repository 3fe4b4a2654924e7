"""Answers: what a session submitted or a file gives becomes a typed value, and when two of them are equal."""
