"""Where untrusted code runs: the image recipe, the seccomp profile and the program inside."""
