"""`unblank demo`: from nothing to filled blanks in about three minutes, without a download."""
