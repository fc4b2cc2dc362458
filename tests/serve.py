"""`python -m tests.serve FOLDER [COMMAND …]`: `python -m db serve` with its data in FOLDER.

The developer's own `.data/` is not touched; nothing else differs.
"""

from __future__ import annotations

import sys
from pathlib import Path

from db import __main__ as commands
from db import embedded

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    embedded.default_server = lambda: embedded.Server(folder / "data", folder / "run")
    sys.argv[1:] = ["serve", *sys.argv[2:]]
    sys.exit(commands.main())
