"""`unblank bench`: speed and memory beside the peers, measured in turns on one machine."""
