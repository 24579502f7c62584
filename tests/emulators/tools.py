#!/usr/bin/env python3
"""Programs from PyPI, each in a virtual environment of its own below tests/.cache.

    tools.py NAME...    installs what is missing, and says where each is
"""

import fcntl
import subprocess
import sys
import venv
from pathlib import Path

CACHE = Path(__file__).resolve().parent.parent / ".cache"

# Name -> a program that is there once it is installed, and the packages.
TOOLS = {
    # Beside the bare one of ministack.py: CloudFormation's transform of SAM templates is an extra.
    "ministack-full": ("ministack", ["ministack[full]==1.5.33"]),
    "sam": ("sam", ["aws-sam-cli==1.170.0"]),
    "swift": ("swift-proxy-server", ["swift==2.38.3"]),
    # cargo-lambda finds zig as `python3 -m ziglang`, so the folder goes first on PATH.
    "cargo-lambda": ("cargo-lambda", ["cargo-lambda==1.9.2", "ziglang==0.17.0"]),
}


def install(name):
    """The folder of the virtual environment; raises when it cannot be had."""
    program, packages = TOOLS[name]
    home = CACHE / name
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (home / "bin" / program).exists():
            return home
        venv.create(home, with_pip=True, clear=True)
        pip = [home / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run([*pip, *packages], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{name} cannot be installed: {done.stderr.strip().splitlines()[-1]}")
    return home


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(install(name))
