"""`python -m hamer` is `hamer`."""

import sys

from hamer.cli import main

sys.exit(main())
