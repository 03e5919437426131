"""`python -m facula script.py`: the same as the command `facula`."""

from facula.cli import main

if __name__ == "__main__":
    main()
