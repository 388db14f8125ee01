"""Files in, files out: a record is answered for every record that is read, and none is lost."""
