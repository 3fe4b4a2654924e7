"""What upkeep decides: which runs are dead, what is left of them, which old files and calls may go, what is told."""
