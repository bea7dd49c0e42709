"""`python -m snnlab` is the command `snnlab`."""

from snnlab.commands import main

if __name__ == "__main__":
    raise SystemExit(main())
