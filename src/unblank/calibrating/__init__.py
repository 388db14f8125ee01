"""`unblank calibrate`: learns from labelled examples how often a model is right."""
