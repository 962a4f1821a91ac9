"""`python -m tests.on_postgresql …`: pytest with these arguments, its database on a PostgreSQL of its own."""

import os
import subprocess
import sys

from .servers import postgres_server


def main() -> int:
    with postgres_server() as server:
        environment = {**os.environ, "DATABASE_URL": server.url()}
        return subprocess.run([sys.executable, "-m", "pytest", *sys.argv[1:]], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
