"""`python -m optophone`: the same as the command `optophone`."""

from optophone.cli.main import main

if __name__ == "__main__":
    main()
