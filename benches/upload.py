#!/usr/bin/env python3
"""Pushes an image with one large layer by skopeo, and pulls it again: for registries of functions.

    upload.py HOST:PORT [MIB]     the layer has 1024 MiB when MIB is not given

Say `just watch` first, and give this 127.0.0.1:9000. The layer is random, so that nothing makes it
smaller. It prints how long each way took; what comes back is compared, not believed.
"""

import gzip
import hashlib
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

MIB = 1024 * 1024


def main(host, mib=1024):
    with tempfile.TemporaryDirectory(prefix="roadstead-upload-") as folder:
        source, target = Path(folder, "source"), Path(folder, "target")
        layer = write_image(source, int(mib))
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
