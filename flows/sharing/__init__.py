"""What the homes of several hosts share through a storage: datasets, questions, episodes; each object written once."""
