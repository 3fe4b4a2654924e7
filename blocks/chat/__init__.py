"""Talking to models: transport, retries, errors, the journal and prices behind the ChatModel block.

Rooms import `blocks.chat.models` and `blocks.chat.errors`, which need no HTTP library; flows get a
`blocks.chat.client.ModelClient` from `blocks.chat_model.ChatModel.get_client()`.
"""
