"""`unblank calibrate`: answers that are known, compared with what the model says of its own."""
