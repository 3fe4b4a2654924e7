"""What a home holds and what it has cost: gathered, as records, shown."""
