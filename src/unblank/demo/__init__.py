"""`unblank demo`: from nothing to filled blanks in minutes, without a download."""
