"""The image, built by buildah on a Debian made of packages: no registry of images is asked."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from payment_service.version import VERSION

ROOT = Path(__file__).resolve().parents[2]
SHIPPING = ROOT / ".shipping"
STORE = SHIPPING / "store"
BASE = "localhost/base:bookworm"
IMAGE = f"localhost/payment-service:{VERSION}"
MEGABYTE = 1_000_000

# As one of Python's own images: what a slim one has besides, the Dockerfile installs.
IN_BASE = "python3,python3-venv,ca-certificates"
# How this machine reaches its packages, inside the build too.
OF_THE_MACHINE = [Path("/etc/pip.conf"), Path("/etc/ssl/certs"), Path("/etc/apt")]


def call(*command: str, quiet: bool = True, **env: str) -> str:
    """What it printed. Raises RuntimeError with the end of all that it said."""
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = (done.stdout + done.stderr)[-3000:]
        raise RuntimeError(f"{' '.join(command[:3])} ...: exit {done.returncode}\n{said}")
    return done.stdout if quiet else done.stdout + done.stderr


def buildah(*arguments: str) -> str:
    run = SHIPPING / "run"
    return call(
        "buildah",
        "--root",
        str(STORE),
        "--runroot",
        str(run),
        *arguments,
        BUILDAH_ISOLATION="chroot",
    ).strip()


def base() -> str:
    """The base image's name; made once, which takes most of a minute, and kept."""
    if BASE not in buildah("images", "--format", "{{.Name}}:{{.Tag}}").splitlines():
        SHIPPING.mkdir(exist_ok=True)
        folder, file = SHIPPING / "base", SHIPPING / "base.tar"
        call("rm", "-rf", str(folder))
        call("debootstrap", "--variant=minbase", f"--include={IN_BASE}", "bookworm", str(folder))
        call("tar", "-C", str(folder), "--exclude=./var/cache/apt/*", "-cf", str(file), ".")
        container = buildah("from", "scratch")
        buildah("add", "-q", container, str(file), "/")
        buildah("commit", "-q", "--rm", container, BASE)
        call("rm", "-rf", str(folder), str(file))
    return BASE


def image() -> str:
    """The service's image, built from this tree; its name."""
    commit = call("git", "rev-parse", "--short=12", "HEAD").strip()
    mounts = [f"--volume={path}:{path}:ro" for path in OF_THE_MACHINE if path.exists()]
    arguments = [f"BASE={base()}", f"VERSION={VERSION}", f"COMMIT={commit}"]
    built = [f"--build-arg={argument}" for argument in arguments]
    # Without --pull-never it asks a registry for what is here; without docker's format the
    # HEALTHCHECK is dropped.
    buildah("bud", "--format=docker", "--pull-never", *mounts, *built, "-t", IMAGE, ".")
    return IMAGE


def config(name: str) -> dict[str, Any]:
    """The image's User, Env, Cmd, WorkingDir, Labels and Healthcheck."""
    found: dict[str, Any] = json.loads(buildah("inspect", "--type=image", name))
    told: dict[str, Any] = found["Docker"]["config"]
    return told


def megabytes(name: str) -> float:
    """All layers of an image, unpacked."""
    images = json.loads((STORE / "overlay-images" / "images.json").read_text())
    layers = {
        layer["id"]: layer
        for layer in json.loads((STORE / "overlay-layers" / "layers.json").read_text())
    }
    top = next(image["layer"] for image in images if name in image.get("names", []))
    total = 0
    while top:
        total += layers[top].get("diff-size", 0)
        top = layers[top].get("parent", "")
    return total / MEGABYTE
