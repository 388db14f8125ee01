"""`python -m unblank.lm_eval` is lm-eval's own command, which then knows `--model unblank`.

lm-eval looks for no models outside itself, so that something has to import ours first.
"""

from lm_eval.__main__ import cli_evaluate

if __name__ == "__main__":
    cli_evaluate()
