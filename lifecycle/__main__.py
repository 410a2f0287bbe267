"""L8. `python -m lifecycle`: the command line."""

import sys

try:
    from lifecycle.cli import main
except ModuleNotFoundError as error:
    sys.exit(f'lifecycle: {error.name} is missing: python -m pip install "email-lifecycle[cli]"')

if __name__ == "__main__":
    main()
