"""From files to rows of a training batch: sources, shards, sampling, packing, collation."""
