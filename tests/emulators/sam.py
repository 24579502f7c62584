#!/usr/bin/env python3
"""`sam validate --lint` and `sam build` of template.yaml, by AWS's own tools from PyPI.

    sam.py                  validates, and builds the function that has all routes, for this machine, unoptimised
    sam.py all [arm64]      builds every function, for the processor that is named; benches/start.py measures them
    sam.py validate         builds none

SAM, cargo-lambda and zig are installed into tests/.cache if they are not there. Where PyPI cannot be
reached this says SKIPPED, and why.
"""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import tools  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
ARCHITECTURE = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
# Bytes of a function, zipped: a start after a pause reads it.
LARGEST = 10_000_000


def main(what, architecture=ARCHITECTURE):
    try:
        # zig is looked for as `python3 -m ziglang`: its Python goes first.
        folders = [tools.install(name) / "bin" for name in ("cargo-lambda", "sam")]
    except RuntimeError as error:
        return print(f"SKIPPED sam: {error}")
    environment = os.environ | {
        "PATH": os.pathsep.join([*map(str, folders), os.environ["PATH"]]),
        "SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "us-east-1",
    }

    def sam(*arguments):
        began = time.monotonic()
        done = subprocess.run(["sam", *arguments], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, check=False)
        print(f"sam {' '.join(arguments[:2])}: {time.monotonic() - began:.0f} s", flush=True)
        if done.returncode:
            sys.exit(done.returncode)

    sam("validate", "--lint")
    for nested in sorted((ROOT / "infra").glob("*.yaml")):
        lint = [folders[1] / "cfn-lint", "--regions", "us-east-1", "--template", nested]
        if subprocess.run(lint, check=False).returncode:
            sys.exit(f"{nested.name} is at fault")
    if what == "validate":
        return
    functions = [] if what == "all" else ["CombinedFunction"]
    if functions:
        environment["ROADSTEAD_PROFILE"] = "dev"
    with tempfile.TemporaryDirectory(prefix="roadstead-sam-") as folder:
        sam("build", *functions, "--build-dir", folder, "--parameter-overrides", f"Architecture={architecture}")
        for bootstrap in sorted(Path(folder).glob("*/bootstrap")):
            archive = shutil.make_archive(f"{folder}/{bootstrap.parent.name}", "zip", bootstrap.parent)
            size = os.path.getsize(archive)
            print(f"{bootstrap.parent.name}: {size / 1e6:.2f} MB zipped")
            if not functions and size > LARGEST:
                sys.exit(f"{bootstrap.parent.name} is larger than {LARGEST / 1e6:.0f} MB zipped")


if __name__ == "__main__":
    main(*(sys.argv[1:] or [""]))
