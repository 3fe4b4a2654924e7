"""What happens: one file per flow, and the pure rooms (sub-packages) that flows share."""
