"""The inner walls: Landlock, seccomp, rlimits, dropped privileges. Each process puts up its own, then lives in them."""
