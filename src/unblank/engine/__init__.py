"""The one run: loop, processes, checkpoints, resume, logs. It knows no task and no command."""
