"""`python -m vernal.cli` is `vernal`."""

import sys

from vernal.cli import main

sys.exit(main())
