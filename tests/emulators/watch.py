#!/usr/bin/env python3
"""Serves the whole registry as a function, on this machine: `just watch`.

    watch.py [--built] [PORT]     the port to serve on: 9000 when it is not given, any free one when it is 0

With --built the programs in target/debug are taken as they are, where otherwise cargo builds them.

MiniStack stands in for S3 and DynamoDB, `cargo lambda watch` for Lambda, and `roadstead uploads` takes
the layers that no function could; all of it is installed into tests/.cache or built here, and listens
on the loopback alone. One line says how it went: `READY <port>`, or `SKIP <reason>` when PyPI cannot be
reached. It ends with an interrupt, or when its standard input does; then what it stores is gone.
"""

import os
import signal
import socket
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
FUNCTION = "roadstead-combined"
INSTANCES = 4
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
    is_built = "--built" in arguments
    ports = [int(argument) for argument in arguments if argument != "--built"]
    port = ports[0] if ports else 9000
    processes = [emulator]
    try:
        ministack.make_bucket(aws)
        with tempfile.TemporaryDirectory(prefix="roadstead-watch-") as folder:
            port = port or ministack.free_port()
            serve(processes, lambda_tools, Path(folder, "roadstead.yml"), aws, port, is_built)
            print(f"READY {port}", flush=True)
            wait()
    except KeyboardInterrupt:
        pass
    finally:
        for process in reversed(processes):
            end(process)


def serve(processes, lambda_tools, configuration, aws, port, is_built):
    uploads = ministack.free_port()
    configuration.write_text(
        CONFIGURATION.format(bucket=ministack.BUCKET, aws=f"http://127.0.0.1:{aws}", uploads=uploads))
    # The programs of one build: what each alone needs of the crates that they share would differ.
    build = ["cargo", "build", "--quiet", "--package", "roadstead", "--package", FUNCTION]
    if not is_built:
        subprocess.run(build, cwd=ROOT, check=True)
    programs = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "debug"
    roadstead = programs / "roadstead"
    subprocess.run([roadstead, "metadata", "create-table", configuration], check=True,
                   stdout=subprocess.DEVNULL, stderr=sys.stderr)
    processes.append(begin([roadstead, "uploads", configuration]))
    environment = os.environ | {
        "PATH": f"{lambda_tools / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "REGISTRY_CONFIGURATION_PATH": str(configuration),
    }
    # Instances enough for a client that pushes several layers at once.
    instances = ["--only-lambda-apis"] if is_built else [
        "--concurrency", str(INSTANCES), "--package", FUNCTION, "--bin", FUNCTION]
    watch = ["cargo", "lambda", "watch", "--ignore-changes", "--disable-cors",
             "--invoke-address", "127.0.0.1", "--invoke-port", str(port), *instances]
    processes.append(begin(watch, env=environment))
    if is_built:
        environment |= {
            "AWS_LAMBDA_RUNTIME_API": f"http://127.0.0.1:{port}/.rt/{FUNCTION}",
            "AWS_LAMBDA_FUNCTION_NAME": FUNCTION,
            "AWS_LAMBDA_FUNCTION_VERSION": "1",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        }
        wait_for(port, processes[-1])
        processes.extend(begin([programs / FUNCTION], env=environment) for _ in range(INSTANCES))
    deadline = time.monotonic() + PATIENCE
    while not answers(port):
        if processes[-1].poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("cargo lambda watch does not serve")
        time.sleep(0.2)


def wait_for(port, process):
    while process.poll() is None:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            time.sleep(0.1)


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
