"""The night's rooms: what may be begun, what is done already, what became of each dataset."""
