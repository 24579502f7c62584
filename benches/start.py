#!/usr/bin/env python3
"""How large each function is zipped, and how long it takes from the start of its process to its first poll.

    tests/emulators/sam.py all [ARCHITECTURE]   builds them, as a deployment has them
    start.py [PROGRAM...]                       measures these, or all in target/lambda

It fails when one is larger than 10 MB or takes longer than 50 ms. The runtime API is emulated here. The
configuration names a bucket and a table at addresses where nobody listens: whatever a function asked of them
before its first poll would be seen as time. Each program is started 30 times; the first start, which reads it
from the disk, is told apart. One for another processor is not started.
"""

import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNS = 30
LARGEST = 10_000_000
SLOWEST_MS = 50
# ELF, "e_machine".
MACHINES = {62: "x86_64", 183: "aarch64"}
CONFIGURATION = """version: 0.1
storage:
  s3: {bucket: registry, region: us-east-1, regionendpoint: "http://127.0.0.1:9", forcepathstyle: true}
metadata:
  dynamodb: {table: registry, region: us-east-1, endpoint: "http://127.0.0.1:9"}
http: {secret: of this machine only, relativeurls: true}
"""


def main(programs):
    programs = programs or sorted(map(str, ROOT.glob("target/lambda/*/*/bootstrap")))
    if not programs:
        sys.exit("nothing is built: tests/emulators/sam.py all")
    print("| function | processor | zipped, MB | as it is, MB | first poll, ms | fastest to slowest | first start |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="roadstead-start-") as folder:
        configuration = Path(folder, "roadstead.yml")
        configuration.write_text(CONFIGURATION)
        kept = [is_within(Path(program), configuration, Path(folder, "function.zip")) for program in programs]
    return 0 if all(kept) else 1


def is_within(program, configuration, archive):
    """Whether a program keeps to the limits; its row of the table is printed."""
    name = program.parent.name if program.name == "bootstrap" else program.name
    with open(program, "rb") as file:
        machine = MACHINES.get(int.from_bytes(file.read(20)[18:20], "little"), "unknown")
    size, median, times = zipped(program, archive), 0, "| – | – | – |"
    if machine == platform.machine():
        first, *later = [start(program, configuration) for _ in range(RUNS + 1)]
        median = statistics.median(later)
        times = f"| {median:.1f} | {min(later):.1f} to {max(later):.1f} | {first:.1f} |"
    print(f"| {name} | {machine} | {size / 1e6:.2f} | {program.stat().st_size / 1e6:.2f} {times}", flush=True)
    for what, figure, limit in (("bytes zipped", size, LARGEST), ("ms to its first poll", median, SLOWEST_MS)):
        if figure > limit:
            print(f"{name}: {figure:.0f} {what}, and not at most {limit}", file=sys.stderr)
    return size <= LARGEST and median <= SLOWEST_MS


def start(program, configuration):
    """Milliseconds until the function asks for its first event."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        environment = {
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{listener.getsockname()[1]}",
            "AWS_LAMBDA_FUNCTION_NAME": "start",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "REGISTRY_CONFIGURATION_PATH": str(configuration),
        }
        begun = time.perf_counter()
        process = subprocess.Popen([program], env=environment, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        try:
            connection, _ = listener.accept()
            with connection:
                request = connection.recv(4096)
            took = (time.perf_counter() - begun) * 1000
            if b"/runtime/invocation/next " not in request:
                sys.exit(f"{program} does not poll: {request!r}")
            return took
        finally:
            process.kill()
            process.wait()


def zipped(program, archive):
    """The size of what SAM uploads: the program and the configuration beside it."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.write(program, "bootstrap")
        file.write(ROOT / "infra/package/roadstead.yml", "roadstead.yml")
    return archive.stat().st_size


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
