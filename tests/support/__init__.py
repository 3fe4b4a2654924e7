"""What tests share: the machine they run on, stand-ins for a model server."""
