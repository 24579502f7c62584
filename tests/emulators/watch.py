#!/usr/bin/env python3
"""Serves the whole registry as a function, on this machine: `just watch`.

    watch.py [PORT]     the port to serve on; 9000 when it is not given, any free one when it is 0

MiniStack stands in for S3 and DynamoDB, `cargo lambda watch` for Lambda, and `roadstead uploads` takes
the layers that no function could; all of it is installed into tests/.cache or built here, and listens
on the loopback alone. One line says how it went: `READY <port>`, or `SKIP <reason>` when PyPI cannot be
reached. It ends with an interrupt, or when its standard input does; then what it stores is gone.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import ministack
import tools

ROOT = Path(__file__).resolve().parent.parent.parent
# The first request builds the function.
PATIENCE = 1800
CONFIGURATION = """version: 0.1
log: {{level: info, accesslog: {{disabled: true}}}}
storage:
  s3: {{bucket: {bucket}, region: us-east-1, accesskey: test, secretkey: test, regionendpoint: "{aws}", forcepathstyle: true}}
  delete: {{enabled: true}}
metadata:
  dynamodb: {{table: registry, region: us-east-1, accesskey: test, secretkey: test, endpoint: "{aws}"}}
http:
  addr: 127.0.0.1:{uploads}
  secret: known to this machine only
  relativeurls: true
  uploadorigin: http://127.0.0.1:{uploads}
"""


def main(arguments):
    try:
        lambda_tools = tools.install("cargo-lambda")
        ministack.install()
        emulator, aws = ministack.start()
    except Exception as error:
        return print(f"SKIP {error}", flush=True)
    port = int(arguments[0]) if arguments else 9000
    processes = [emulator]
    try:
        ministack.make_bucket(aws)
        with tempfile.TemporaryDirectory(prefix="roadstead-watch-") as folder:
            port = port or ministack.free_port()
            serve(processes, lambda_tools, Path(folder, "roadstead.yml"), aws, port)
            print(f"READY {port}", flush=True)
            wait()
    except KeyboardInterrupt:
        pass
    finally:
        for process in reversed(processes):
            end(process)


def serve(processes, lambda_tools, configuration, aws, port):
    uploads = ministack.free_port()
    configuration.write_text(
        CONFIGURATION.format(bucket=ministack.BUCKET, aws=f"http://127.0.0.1:{aws}", uploads=uploads))
    # The programs of one build: what each alone needs of the crates that they share would differ.
    build = ["cargo", "build", "--quiet", "--package", "roadstead", "--package", "roadstead-combined"]
    subprocess.run(build, cwd=ROOT, check=True)
    roadstead = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "debug" / "roadstead"
    subprocess.run([roadstead, "metadata", "create-table", configuration], check=True,
                   stdout=subprocess.DEVNULL, stderr=sys.stderr)
    processes.append(begin([roadstead, "uploads", configuration]))
    environment = os.environ | {
        "PATH": f"{lambda_tools / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "REGISTRY_CONFIGURATION_PATH": str(configuration),
    }
    # Instances as there are clients that push several layers at once.
    processes.append(begin([
        "cargo", "lambda", "watch", "--ignore-changes", "--disable-cors", "--concurrency", "4",
        "--invoke-address", "127.0.0.1", "--invoke-port", str(port),
        "--package", "roadstead-combined", "--bin", "roadstead-combined",
    ], env=environment))
    deadline = time.monotonic() + PATIENCE
    while not answers(port):
        if processes[-1].poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("cargo lambda watch does not serve")
        time.sleep(0.2)


def begin(command, **options):
    """A process in a group of its own: cargo has children, and an interrupt is ours to hand on."""
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=sys.stderr,
                            start_new_session=True, **options)


def answers(port):
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=600).status == 200
    except urllib.error.HTTPError as error:
        return error.code == 401
    except OSError:
        return False


def wait():
    if sys.stdin.isatty():
        signal.pause()
    sys.stdin.read()


def end(process):
    try:
        group = os.getpgid(process.pid)
        if group == process.pid:
            os.killpg(group, signal.SIGTERM)
        else:
            process.terminate()
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
    except ProcessLookupError:
        pass


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    main(sys.argv[1:])
