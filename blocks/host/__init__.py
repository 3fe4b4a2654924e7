"""What a machine needs to be a host: each need looked at for real, each finding with its remedy."""
