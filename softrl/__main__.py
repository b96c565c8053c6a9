"""`python -m softrl`: the command `softrl`, where its folder is not on the path."""

import sys

from softrl.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
