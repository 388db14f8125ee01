"""The one run: loop, processes, checkpoints, resume, logs. It knows no data and no command."""
