"""`python -m tests.cluster`: the cluster's commands."""

import argparse
import contextlib
import os
import subprocess
import sys
import time

from tests.cluster import dockerfile, images
from tests.cluster.binaries import programs
from tests.cluster.cluster import Cluster, missing_packages, say
from tests.cluster.daemon import ClusterError
from tests.servers.install import install


def main() -> None:
    """Run one command; a KUBECONFIG of the caller's stands in for a cluster of ours."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    commands = parser.add_subparsers(required=True)
    for function in (install_packages, up, down, status, enter, image):
        name = function.__name__.removesuffix("_packages")
        command = commands.add_parser(name, help=function.__doc__)
        command.set_defaults(run=function)
        if function is enter:
            command.add_argument("command", nargs=argparse.REMAINDER)
        if function is image:
            text = "also build the Dockerfile, with buildah"
            command.add_argument("--dockerfile", action="store_true", help=text)
    arguments = parser.parse_args()
    try:
        arguments.run(arguments)
    except ClusterError as error:
        sys.exit(f"cluster: {error}")


def install_packages(_: argparse.Namespace) -> None:
    """Install what is missing of Debian's, as root, and build Kubernetes unless it was built."""
    if packages := missing_packages():
        if os.geteuid() != 0:
            sys.exit(f"cluster: install these as root: apt-get install {' '.join(packages)}")
        install(packages)
    programs(say)


def up(_: argparse.Namespace) -> None:
    """Start the cluster, unless it runs already."""
    if foreign():
        say(f"KUBECONFIG={foreign()} names a cluster; that one is used")
        return
    Cluster().up()


def down(_: argparse.Namespace) -> None:
    """Stop the cluster and remove what is left of it."""
    Cluster().down()


def status(_: argparse.Namespace) -> None:
    """Say whether the cluster runs; exit code 1 when it does not."""
    if not foreign() and not Cluster().running:
        sys.exit("cluster: not running")
    sys.exit(subprocess.run(in_cluster(["kubectl", "get", "nodes,pods", "-A"])).returncode)


def enter(arguments: argparse.Namespace) -> None:
    """Run a command in the cluster's network, with its DNS, and KUBECONFIG set."""
    if not foreign() and not Cluster().running:
        sys.exit("cluster: not running; start it with `make cluster`")
    command = in_cluster(arguments.command or [os.environ.get("SHELL", "sh")])
    os.execvp(command[0], command)


def image(arguments: argparse.Namespace) -> None:
    """Build Coracle's image from the working tree, and load it into the cluster if it runs."""
    if foreign():
        say("pods on the cluster that KUBECONFIG names run the image CORACLE_TEST_IMAGE")
        return
    with images.alone():
        load_images(with_dockerfile=arguments.dockerfile)


def load_images(*, with_dockerfile: bool) -> None:
    """Build, and load if the cluster runs."""
    begin = time.monotonic()
    built = images.coracle()
    say(f"{built.name} {built.digest[:19]} built in {time.monotonic() - begin:.1f} s")
    cluster = Cluster()
    if cluster.running:
        begin = time.monotonic()
        cluster.load(built)
        say(f"loaded in {time.monotonic() - begin:.1f} s")
    if with_dockerfile:
        begin = time.monotonic()
        archive = dockerfile.build(images.folder() / "dockerfile.tar")
        say(f"{dockerfile.IMAGE} built in {time.monotonic() - begin:.1f} s")
        if cluster.running:
            cluster.load_archive(archive)


def foreign() -> str:
    """The caller's KUBECONFIG."""
    return os.environ.get("KUBECONFIG", "")


def in_cluster(command: list[str]) -> list[str]:
    """The command, run where the cluster is reached."""
    return command if foreign() else Cluster().inside(command)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
