"""The inner walls: Landlock, seccomp, rlimits and dropped privileges, put up by the process that then lives behind them."""
