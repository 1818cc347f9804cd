"""The images that pods of tests run, made from the files of this machine.

Coracle's image has three layers, from what changes least to what changes most: this machine's
CPython with the C libraries it needs; pip and Coracle's dependencies at the versions of
constraints.txt; Coracle itself, from its wheel. Each is kept until what it was made from changes,
so that after a change to the code a new image takes seconds. Its user and paths are those of the
Dockerfile.
"""

import contextlib
import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from configparser import ConfigParser
from pathlib import Path

from tests.cluster.binaries import cache_folder
from tests.cluster.daemon import ClusterError
from tests.cluster.node import PAUSE_IMAGE
from tests.cluster.oci import Image, Layer, pack
from tests.servers.missing import find_program

ROOT = Path(__file__).parents[2]
CORACLE_IMAGE = "localhost/coracle:test"
BASE_IMAGE = "localhost/python:test"
"""CPython without Coracle: what the Dockerfile is built on where no registry is."""
EXTRAS = "jdbc,operator"
USER = "10001:10001"

_VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
_HOME = "opt/coracle"
_SITE = f"{_HOME}/lib/{_VERSION}/site-packages"
_AUTHORITIES = "etc/ssl/certs/ca-certificates.crt"
_BASE_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "SSL_CERT_FILE": f"/{_AUTHORITIES}",
}
_ENVIRONMENT = {
    **_BASE_ENVIRONMENT,
    "PATH": f"/{_HOME}/bin:{_BASE_ENVIRONMENT['PATH']}",
    "HOME": "/tmp",
    "PYTHONUNBUFFERED": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}
# Of the standard library: nobody imports these in a server.
_LEFT_OUT = {
    *("test", "tests", "idlelib", "tkinter", "turtledemo", "lib2to3", "site-packages"),
    *("dist-packages", "__pycache__"),
}
# Needed though nothing here is linked with them: the C library loads its name services, and wheels
# expect the rest on any Linux (PEP 600).
_LIBRARIES = (
    *("libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2"),
    *(
        "libgcc_s.so.1",
        "libstdc++.so.6",
        "libm.so.6",
        "libdl.so.2",
        "librt.so.1",
        "libpthread.so.0",
    ),
)
_APPLETS = "cat cp cut du env grep head id kill ls mkdir mount ps rm sh sleep tail test touch wget"


def folder() -> Path:
    """Where layers and archives are kept."""
    path = cache_folder() / "images"
    path.mkdir(parents=True, exist_ok=True)
    return path


def pause(programs: Path) -> Image:
    """The image of the container that every pod begins with.

    Args:
        programs: The folder of Kubernetes's programs.
    """

    def stage(root: Path) -> None:
        shutil.copy(programs / "pause", root)

    return Image(PAUSE_IMAGE, [_kept("pause", _key(programs.name), stage)], ["/pause"])


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Nobody else makes images meanwhile: layers that are out of date go."""
    with (folder() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def base() -> Image:
    """CPython alone, run as root: to build on, with a pip that trusts what this machine trusts."""
    environment = _BASE_ENVIRONMENT | {"PIP_CERT": f"/{_AUTHORITIES}"}
    return Image(BASE_IMAGE, [_python()], command=["python3"], environment=environment)


def coracle(name: str = CORACLE_IMAGE) -> Image:
    """Coracle as it is in the working tree.

    Raises:
        ClusterError: pip or the build of the wheel failed.
    """
    layers = [_python(), _dependencies(), _code()]
    command = ["coracle", "--help"]
    return Image(name, layers, command=command, user=USER, environment=_ENVIRONMENT)


def _python() -> Layer:
    key = _key(sys.version, sys.base_prefix, Path(__file__).read_text())
    return _kept("python", key, _stage_python)


def _dependencies() -> Layer:
    sources = [(ROOT / name).read_text() for name in ("pyproject.toml", "constraints.txt")]
    key = _key(sys.version, Path(__file__).read_text(), EXTRAS, *sources)
    return _kept("dependencies", key, _stage_dependencies)


def _code() -> Layer:
    sources = [*_sources()]
    content = [
        f"{path.relative_to(ROOT)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in sources
    ]
    key = _key(sys.version, Path(__file__).read_text(), *content)
    return _kept("coracle", key, _stage_code)


def _sources() -> list[Path]:
    """All that the wheel is made from."""
    packages = [
        path
        for package in ("service/coracle", "operator/coracle_operator")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    return sorted(
        [*packages, *(ROOT / name for name in ("pyproject.toml", "README.md", "LICENSE"))]
    )


def _key(*content: str) -> str:
    return hashlib.sha256("\0".join(content).encode()).hexdigest()[:12]


def _kept(name: str, key: str, stage: Callable[[Path], None]) -> Layer:
    """A layer, made when there is none of this key; those of other keys go."""
    file = folder() / f"{name}-{key}.tar"
    if not file.exists():
        with tempfile.TemporaryDirectory(prefix="coracle-image-") as scratch:
            stage(Path(scratch))
            for former in folder().glob(f"{name}-*"):
                former.unlink(missing_ok=True)
            pack(Path(scratch), file)
    return Layer(file)


def _stage_python(root: Path) -> None:
    for path in ("bin", "dev", "etc", "proc", "sys", "tmp", "usr/local/bin", "usr/bin", "var/tmp"):
        (root / path).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    (root / "var/tmp").chmod(0o1777)
    (root / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\ncoracle:x:10001:10001:Coracle:/tmp:/bin/sh\n"
    )
    (root / "etc/group").write_text("root:x:0:\ncoracle:x:10001:\n")
    (root / "etc/nsswitch.conf").write_text("hosts: files dns\n")
    _copy_authorities(root / _AUTHORITIES)
    shutil.copy(_program("busybox"), root / "bin/busybox")
    for applet in _APPLETS.split():
        (root / "bin" / applet).symlink_to("busybox")
    (root / "usr/bin/env").symlink_to("/bin/env")
    library = root / f"usr/local/lib/{_VERSION}"
    for source in dict.fromkeys((sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))):
        shutil.copytree(source, library, ignore=_unwanted, dirs_exist_ok=True, symlinks=True)
    (library / "site-packages").mkdir()
    interpreter = Path(sys.base_prefix) / "bin" / _VERSION
    shutil.copy(interpreter, root / "usr/local/bin")
    for link in ("python3", "python"):
        (root / "usr/local/bin" / link).symlink_to(_VERSION)
    _compile(library)
    _copy_libraries(root, [interpreter, *library.rglob("*.so*")])
    for name in _LIBRARIES:
        for place in ("lib", "usr/lib"):
            found = Path(f"/{place}/{platform.machine()}-linux-gnu/{name}")
            if found.exists():
                shutil.copy(found, root / "usr/lib")


def _unwanted(_: str, names: list[str]) -> set[str]:
    return {
        name
        for name in names
        if name in _LEFT_OUT or name.startswith("config-") or name.endswith(".a")
    }


def _copy_authorities(to: Path) -> None:
    """The certificate authorities this machine trusts."""
    source = Path(os.environ.get("SSL_CERT_FILE", f"/{_AUTHORITIES}"))
    to.parent.mkdir(parents=True)
    if source.exists():
        shutil.copy(source, to)


def _copy_libraries(root: Path, programs: Iterable[Path]) -> None:
    """The shared libraries that programs are linked with, as ldd(1) finds them."""
    files = [str(path) for path in programs if path.is_file()]
    listed = subprocess.run(["ldd", *files], capture_output=True, text=True).stdout
    for name, path in set(re.findall(r"^\s+(?:(\S+) => )?(/\S+) \(0x", listed, re.MULTILINE)):
        if name and Path(path).is_relative_to(root):
            continue  # a wheel that brings its own
        # The loader is looked for at its full path, everything else in /usr/lib.
        to = root / path.lstrip("/") if not name else root / "usr/lib" / name
        to.parent.mkdir(parents=True, exist_ok=True)
        if not to.exists():
            shutil.copy(path, to)


def _stage_dependencies(root: Path) -> None:
    site = root / _SITE
    wheel = _wheel(root / "wheel")
    _pip(
        *("--target", site, "--constraint", ROOT / "constraints.txt"),
        *("pip>=25.1", f"{wheel}[{EXTRAS}]"),
    )
    shutil.rmtree(wheel.parent)
    for ours in (*site.glob("coracle*"), site / "bin"):
        shutil.rmtree(ours)
    programs = root / _HOME / "bin"
    programs.mkdir()
    for name in ("python", "python3"):
        (programs / name).symlink_to(f"/usr/local/bin/{_VERSION}")
    _write_program(programs / "pip", "pip._internal.cli.main:main")
    # A virtual environment, as in the Dockerfile.
    (root / _HOME / "pyvenv.cfg").write_text(
        "home = /usr/local/bin\ninclude-system-site-packages = false\n"
    )
    _compile(site)
    _copy_libraries(root, site.rglob("*.so*"))
    # Those that the layer below has already.
    shutil.rmtree(root / "lib64", ignore_errors=True)


def _stage_code(root: Path) -> None:
    site = root / _SITE
    wheel = _wheel(root / "wheel")
    with zipfile.ZipFile(wheel) as content:
        content.extractall(site)
    shutil.rmtree(wheel.parent)
    (declared,) = site.glob("*.dist-info/entry_points.txt")
    entry_points = ConfigParser(delimiters=("=",))
    entry_points.optionxform = str  # type: ignore[assignment,method-assign] - names have capitals
    entry_points.read(declared)
    for name, function in entry_points["console_scripts"].items():
        _write_program(root / _HOME / "bin" / name, function)
    _compile(site)


def _write_program(file: Path, function: str) -> None:
    module, _, name = function.partition(":")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        f"#!/{_HOME}/bin/python\nimport sys\n\nfrom {module} import {name}\n\nsys.exit({name}())\n"
    )
    file.chmod(0o755)


def _wheel(to: Path) -> Path:
    """Coracle's wheel, built from a copy: setuptools leaves files beside what it builds."""
    with tempfile.TemporaryDirectory(prefix="coracle-wheel-") as scratch:
        for path in _sources():
            copy = Path(scratch) / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
        to.mkdir(parents=True)
        build = f"from setuptools import build_meta; build_meta.build_wheel({str(to)!r})"
        environment = os.environ | {"PYTHONPATH": str(_setuptools()), "PYTHONWARNINGS": "ignore"}
        _run([sys.executable, "-c", build], cwd=scratch, env=environment)
    return next(to.glob("*.whl"))


def _setuptools() -> Path:
    """A folder with the build tool alone: an environment need not have it, nor a new one."""
    requirement = re.search(r'requires = \["(.+)"\]', (ROOT / "pyproject.toml").read_text())
    assert requirement is not None
    tool = folder() / f"setuptools-{_key(requirement[1])}"
    if not tool.exists():
        with tempfile.TemporaryDirectory(dir=folder()) as scratch:
            _pip("--target", scratch, requirement[1])
            Path(scratch).rename(tool)
            Path(scratch).mkdir()
    return tool


def _pip(*arguments: str | Path) -> None:
    options = [
        "--quiet",
        "--disable-pip-version-check",
        "--no-compile",
        "--root-user-action=ignore",
    ]
    _run([sys.executable, "-m", "pip", "install", *options, *map(str, arguments)])


def _compile(packages: Path) -> None:
    """Write bytecode that is valid whatever the files' times, which a layer does not keep."""
    options = ["-q", "-j", "0", "--invalidation-mode", "unchecked-hash"]
    # Some packages carry files for other versions of Python; those fail, and stay as they are.
    path = str(packages)
    relocated = ["-s", path, "-p", "/"]
    subprocess.run(
        [sys.executable, "-m", "compileall", *options, *relocated, path], stdout=subprocess.DEVNULL
    )


def _program(name: str) -> Path:
    found = find_program(name)
    if found is None:
        raise ClusterError(f"{name} is not installed (make cluster installs it)")
    return found


def _run(command: list[str], *, cwd: str | None = None, env: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    if done.returncode:
        raise ClusterError(f"`{' '.join(command)}` failed\n{done.stdout}{done.stderr}")
