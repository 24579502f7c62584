#!/usr/bin/env python3
"""Starts OpenStack Swift (PyPI, Apache-2.0) with its S3 API, a second and stricter S3, for a test.

Its four servers listen on the loopback alone and share one device: a folder in memory where there is room, else
one for temporary files, and either has to take extended attributes. It has the bucket `registry` from the start.
One line says how it went: `READY <port>` or `SKIP <reason>`. The access key is `test:tester`, the secret key
`testing`. They end, by their own process ids, when the standard input of this program does: whatever happens to
the test.
"""

import base64
import email.utils
import hashlib
import hmac
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import tools  # noqa: E402

PATIENCE = 60
SERVERS = ("account", "container", "object")
BUCKET = "registry"
KEY, SECRET = "test:tester", "testing"

# Files in memory, and how many bytes have to be free there for the tests.
MEMORY = Path("/dev/shm")
ROOM = 4 << 30

# What proxy-server.conf-sample has before s3api needs, and no more. Nothing is repaired here later, neither a
# listing that lacks what came late nor a server that counts as broken: so that nothing has to be, all wait for each
# other however much the machine has to do.
PROXY = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
swift_dir = {home}
workers = 0
log_level = ERROR
[pipeline:main]
pipeline = catch_errors gatekeeper cache bulk s3api tempauth slo proxy-server
[app:proxy-server]
use = egg:swift#proxy
conn_timeout = {patience}
node_timeout = {patience}
error_suppression_limit = 1000000
account_autocreate = true
allow_account_management = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:cache]
paste.filter_factory = swift_cache:filter_factory
[filter:bulk]
use = egg:swift#bulk
[filter:slo]
use = egg:swift#slo
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = {secret} .admin
"""

SERVER = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
swift_dir = {home}
devices = {home}/devices
mount_check = false
workers = 0
log_level = ERROR
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
conn_timeout = {patience}
node_timeout = {patience}
container_update_timeout = {patience}
log_requests = false
"""

SWIFT = """
[swift-hash]
swift_hash_path_prefix = prefix
swift_hash_path_suffix = suffix
[storage-policy:0]
name = only
default = yes
"""


def main():
    with tempfile.TemporaryDirectory(prefix="roadstead-swift-", dir=place()) as folder:
        processes = []
        try:
            port = start(tools.install("swift") / "bin", Path(folder), processes)
            make_bucket(port)
            print(f"READY {port}", flush=True)
            sys.stdin.read()
        except Exception as error:
            print(f"SKIP Swift cannot be had: {error}", flush=True)
        finally:
            stop(processes)


def place():
    """Where files cost the least; `None` for where temporary files are."""
    try:
        with tempfile.NamedTemporaryFile(dir=MEMORY) as file:
            # Linux takes these in memory from version 6.6 on.
            os.setxattr(file.name, "user.roadstead", b"")
        return MEMORY if shutil.disk_usage(MEMORY).free > ROOM else None
    except OSError:
        return None


def start(programs, home, processes):
    """The port of the S3 API; what it has started is in `processes`, also when it fails."""
    device = home / "devices" / "sda"
    device.mkdir(parents=True)
    os.setxattr(device, "user.roadstead", b"")
    (home / "swift.conf").write_text(SWIFT)
    # In a folder of its own: in that of this program, `swift` is another module.
    shutil.copy(HERE / "swift_cache.py", home)
    *ports, port = free_ports(len(SERVERS) + 1)
    for name, own in zip(SERVERS, ports, strict=True):
        ring(programs, home / f"{name}.builder", own)
        (home / f"{name}.conf").write_text(SERVER.format(name=name, port=own, home=home, patience=PATIENCE))
    (home / "proxy.conf").write_text(PROXY.format(port=port, home=home, secret=SECRET, patience=PATIENCE))
    for name in (*SERVERS, "proxy"):
        command = [programs / f"swift-{name}-server", home / f"{name}.conf"]
        environment = os.environ | {"SWIFT_DIR": str(home), "PYTHONPATH": str(home)}
        output = open(home / f"{name}.log", "w")
        processes.append(subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        ))
    for own in (*ports, port):
        wait_for(own, processes)
    return port


def ring(programs, builder, port):
    for arguments in (["create", "2", "1", "0"], ["add", f"r1z1-127.0.0.1:{port}/sda", "1"], ["rebalance"]):
        done = subprocess.run(
            [programs / "swift-ring-builder", builder, *arguments], capture_output=True, text=True, check=False,
        )
        # 1 is a warning: that one device keeps no second copy.
        if done.returncode > 1:
            raise RuntimeError(f"swift-ring-builder: {done.stdout.strip()}")


def wait_for(port, processes):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if ended := [process.args[0].name for process in processes if process.poll() is not None]:
            raise RuntimeError(f"{', '.join(ended)} ended at once")
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"nothing listens at port {port}")


def make_bucket(port):
    """A request with a signature of version 2, which Swift takes as well and which needs no library."""
    date = email.utils.formatdate(usegmt=True)
    said = f"PUT\n\n\n{date}\n/{BUCKET}"
    signature = base64.b64encode(hmac.digest(SECRET.encode(), said.encode(), hashlib.sha1)).decode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/{BUCKET}", method="PUT")
    request.add_header("Date", date)
    request.add_header("Authorization", f"AWS {KEY}:{signature}")
    urllib.request.urlopen(request, timeout=PATIENCE).close()


def stop(processes):
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def free_ports(count):
    """All taken at once, so that they differ."""
    listeners = [socket.socket() for _ in range(count)]
    for listener in listeners:
        listener.bind(("127.0.0.1", 0))
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


if __name__ == "__main__":
    main()
