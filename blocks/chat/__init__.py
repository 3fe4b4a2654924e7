"""Talking to models: transport, retries, errors, the journal and prices behind the ChatModel block."""
