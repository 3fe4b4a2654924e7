"""How a CSV file becomes a table: encoding, dialect, layout, types of columns, and what is said of each.

Runs inside the sandbox, since files are as untrusted as code; importable from the host as well.
"""
