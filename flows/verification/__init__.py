"""Verification: traces, the typed comparator, triangulation and episodes."""
