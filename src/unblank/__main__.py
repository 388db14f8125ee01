"""`python -m unblank` is the command `unblank`; torchrun needs this form."""

from unblank.cli import main

if __name__ == "__main__":
    main()
