"""The command line: ``coracle run``, ``validate``, ``plugins``.

``app`` declares the commands and their help, each command's work is in the module of its name.
``checks`` reads connector files and finds what is wrong with them, ``screen`` is how things look,
``logs`` how the log looks, ``exits`` what exit codes mean. Modules are imported when their command
runs, so that ``--help`` is quick.
"""

import sys
import traceback


def main() -> None:
    """Entry point of ``coracle``; ends the process with one of the codes in ``exits``."""
    from coracle.cli.app import app
    from coracle.cli.exits import Exit

    try:
        app(prog_name="coracle")
    except Exception:
        # A bug, so the stack is shown; Python's own code for it would say "invalid configuration".
        traceback.print_exc()
        sys.exit(Exit.FAILED)
