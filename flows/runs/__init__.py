"""What every run has, whatever the flow: its report and exit code, its log files, how many things go on at once."""
