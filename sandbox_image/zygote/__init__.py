"""The program inside a sandbox: a fork server that runs cells in isolated sessions.

Standard library only at import time (pandas and friends are preloaded by `preload`), because this package also runs
alone inside the sandbox image. It depends on nothing above it.
"""
