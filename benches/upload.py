#!/usr/bin/env python3
"""Pushes an image with one large layer by skopeo, and pulls it again: for registries of functions.

    upload.py [MIB]              against template.yaml with every option, deployed to an emulated AWS
    upload.py [MIB] HOST:PORT    against what is there, as `just watch`

The layer has 1024 MiB when MIB is not given, and is random, so that nothing makes it smaller. It prints how long
each way took; what comes back is compared, not believed. Of a deployment, which tests/emulators/deploy.py makes,
it also prints the most memory that the upload server has had; that fails beyond 256 MiB. It takes the functions
that `tests/emulators/sam.py all` has built, or else those of a debug build, and the program in target/release or
target/debug.
"""

import gzip
import hashlib
import json
import os
import platform
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

MIB = 1024 * 1024
ROOT = Path(__file__).resolve().parent.parent
ARCHITECTURE = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
FUNCTIONS = ("base", "blobs", "uploads", "manifests", "discovery", "maintenance", "combined")
# Of the upload server, however large a layer is: the memory of the smallest task is 512.
MOST_MIB = 256


def main(mib=1024, host=None):
    if host:
        return push_and_pull(host, int(mib))
    with tempfile.TemporaryDirectory(prefix="roadstead-upload-") as folder:
        collect(Path(folder))
        deploy = [sys.executable, ROOT / "tests/emulators/deploy.py", folder, "--every-option", "Access=anonymous",
                  f"Architecture={ARCHITECTURE}"]
        with subprocess.Popen(deploy, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as deployment:
            said = json.loads(deployment.stdout.readline())
            if "ready" not in said:
                sys.exit(f"nothing is deployed: {said}")
            code = push_and_pull(said["ready"]["address"], int(mib))
            print("memory", file=deployment.stdin, flush=True)
            peak = int(deployment.stdout.readline()) / MIB
            deployment.stdin.close()
    print(f"the upload server had at most {peak:.0f} MiB of memory")
    return code or (1 if peak > MOST_MIB else 0)


def collect(folder):
    """The programs, where deploy.py looks for them."""
    for name in (f"roadstead-{function}" for function in FUNCTIONS):
        program = first_of(f"target/lambda/{ARCHITECTURE}/{name}/bootstrap", f"target/debug/{name}")
        (folder / name).mkdir()
        subprocess.run(["strip", "-o", folder / name / "bootstrap", program], check=True)
    subprocess.run(["strip", "-o", folder / "roadstead", first_of("target/release/roadstead", "target/debug/roadstead")],
                   check=True)


def first_of(*paths):
    """Whichever of these is there."""
    for path in paths:
        if (ROOT / path).is_file():
            return ROOT / path
    sys.exit(f"{' or '.join(paths)} is not built")


def push_and_pull(host, mib):
    with tempfile.TemporaryDirectory(prefix="roadstead-upload-") as folder:
        source, target = Path(folder, "source"), Path(folder, "target")
        layer = write_image(source, mib)
        remote = f"docker://{host}/large:latest"
        pushed = timed("push", "--dest-tls-verify=false", f"oci:{source}:latest", remote)
        pulled = timed("pull", "--src-tls-verify=false", remote, f"oci:{target}:latest")
        same = digest_of(target / "blobs/sha256" / layer) == layer
    print(f"{mib} MiB: pushed in {pushed:.1f} s, pulled in {pulled:.1f} s, {'the same' if same else 'DAMAGED'}")
    return 0 if same else 1


def timed(what, *arguments):
    begun = time.monotonic()
    done = subprocess.run(["skopeo", "copy", *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"the {what} failed: {done.stderr.strip()}")
    return time.monotonic() - begun


def write_image(folder, mib):
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)
    content = blobs / "content"
    with open(content, "wb") as file:
        for _ in range(mib):
            file.write(os.urandom(MIB))
    tar = blobs / "tar"
    with tarfile.open(tar, "w") as archive:
        archive.add(content, "content")
    content.unlink()
    diff, layer = digest_of(tar), blobs / "layer"
    with open(tar, "rb") as plain, gzip.open(layer, "wb", compresslevel=0) as packed:
        while chunk := plain.read(MIB):
            packed.write(chunk)
    tar.unlink()
    name, size = digest_of(layer), layer.stat().st_size
    layer.rename(blobs / name)
    config = put(blobs, {
        "architecture": "amd64", "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff}"]},
    }, "application/vnd.oci.image.config.v1+json")
    media_type = "application/vnd.oci.image.manifest.v1+json"
    manifest = put(blobs, {
        "schemaVersion": 2, "mediaType": media_type, "config": config,
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
            "digest": f"sha256:{name}", "size": size,
        }],
    }, media_type)
    manifest["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return name


def put(blobs, document, media_type):
    content = json.dumps(document).encode()
    name = hashlib.sha256(content).hexdigest()
    (blobs / name).write_bytes(content)
    return {"mediaType": media_type, "digest": f"sha256:{name}", "size": len(content)}


def digest_of(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
