"""The image that the Dockerfile makes, built where there is no registry.

buildah builds it on an image of this machine's CPython instead of `python:3.13-slim`. Its storage
is a folder of its own, and what it runs is only in another root directory (`chroot`), so this works
in containers too. pip gets the dependencies from wherever it gets them on this machine.
"""

import os
import subprocess
import tempfile
from pathlib import Path

from tests.cluster import images
from tests.cluster.daemon import ClusterError
from tests.servers.missing import find_program

PACKAGE = "buildah"
IMAGE = "localhost/coracle:dockerfile"


def build(archive: Path) -> Path:
    """Build it.

    Args:
        archive: The OCI archive to write.

    Returns:
        The archive.

    Raises:
        ClusterError: buildah is missing, or the Dockerfile does not build.
    """
    program = find_program(PACKAGE)
    if program is None:
        raise ClusterError(f"{PACKAGE} is not installed: apt-get install {PACKAGE}")
    archive.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="coracle-buildah-") as scratch:
        storage = Path(scratch) / "storage.conf"
        storage.write_text(
            f'[storage]\ndriver = "overlay"\ngraphroot = "{scratch}/root"\n'
            f'runroot = "{scratch}/run"\n'
        )
        base = images.base().write(Path(scratch) / "base.tar")
        environment = os.environ | {
            "CONTAINERS_STORAGE_CONF": str(storage),
            "BUILDAH_ISOLATION": "chroot",
            "BUILDER": str(program),
        }
        for command in (
            [str(program), "pull", "--quiet", f"oci-archive:{base}"],
            ["make", "image", f"BASE={images.BASE_IMAGE}", f"IMAGE={IMAGE}"],
            [str(program), "push", "--quiet", IMAGE, f"oci-archive:{archive}:{IMAGE}"],
        ):
            done = subprocess.run(
                command, cwd=images.ROOT, env=environment, capture_output=True, text=True
            )
            if done.returncode:
                said = f"{done.stdout}{done.stderr}"
                raise ClusterError(f"`{' '.join(command)}` failed\n{said}")
        # Mounts that a build leaves would keep the folder from going.
        subprocess.run([program, "rm", "--all"], env=environment, capture_output=True)
        subprocess.run([program, "rmi", "--all", "--force"], env=environment, capture_output=True)
    return archive
