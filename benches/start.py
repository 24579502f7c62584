#!/usr/bin/env python3
"""How long a function takes from the start of its process to its first poll, and how large it is zipped.

    start.py PROGRAM...     for example target/dist/roadstead-combined

The runtime API is emulated here. The configuration names a bucket and a table at addresses where nobody
listens: whatever a function asked of them before its first poll would be seen as time. Each program is
started 30 times; the first start, which reads it from the disk, is told apart.
"""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

RUNS = 30
CONFIGURATION = """version: 0.1
storage:
  s3: {bucket: registry, region: us-east-1, regionendpoint: "http://127.0.0.1:9", forcepathstyle: true}
metadata:
  dynamodb: {table: registry, region: us-east-1, endpoint: "http://127.0.0.1:9"}
http: {secret: of this machine only, relativeurls: true}
"""


def main(programs):
    with tempfile.TemporaryDirectory(prefix="roadstead-start-") as folder:
        configuration = Path(folder, "roadstead.yml")
        configuration.write_text(CONFIGURATION)
        for program in programs:
            first, *times = [start(program, configuration) for _ in range(RUNS + 1)]
            size = zipped(program, Path(folder, "function.zip"))
            print(f"{Path(program).name}: first poll after {statistics.median(times):.1f} ms"
                  f" (fastest {min(times):.1f}, slowest {max(times):.1f}, first {first:.1f});"
                  f" {size / 1e6:.2f} MB zipped, {os.path.getsize(program) / 1e6:.2f} MB as it is")


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
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        file.write(program, "bootstrap")
    return archive.stat().st_size


if __name__ == "__main__":
    main(sys.argv[1:])
