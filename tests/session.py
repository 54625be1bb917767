"""Several `vitrina` commands one after the other in one process, which imports once: `python session.py '["train", …]' …`."""

import json
import sys

import cli

if __name__ == "__main__":
    for arguments in sys.argv[1:]:
        sys.argv = ["vitrina", *json.loads(arguments)]
        try:
            cli.main()
        except SystemExit as ended:
            if ended.code:
                raise
