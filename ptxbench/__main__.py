"""`python -m ptxbench`: the command `ptxbench`."""

import sys

from ptxbench.cli import main

sys.exit(main())
