"""Images built and run for real: buildah builds the Dockerfile, podman runs a container as its manifest says.

Rules of this module:

* The Dockerfile's base is `PYTHON_IMAGE` of the environment, or a Debian that mmdebstrap makes of packages, once.
* Images are built in a store of their own below `.cache/image`; nothing of the machine's own store is used.
* A container gets from its manifest the arguments, the user, the read-only root, the capabilities, the memory limit
  and the mounts. It shares the network of the process that starts it, as the containers of a pod share theirs.
* Machines differ in what they permit; what is missing is skipped with its name.
"""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import pytest

from tests.support.manifests import ROOT, Object

_CACHE = ROOT / ".cache/image"
_DEBIAN, _PACKAGES = "bookworm", "python3,python3-venv,ca-certificates"
_RUNTIMES = ("crun", "runc")
"""In this order; crun refuses machines with control groups of both versions."""
_OF_THE_MACHINE = ("/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
"""What pip needs behind a proxy with an authority of its own; seen while the image is built, and not in it."""
_MINUTES = 60.0
_CLONE_NEWNET = 0x4000_0000


def _run(*argv: str | Path, timeout: float = 10 * _MINUTES) -> str:
    done = subprocess.run(list(map(str, argv)), capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode:
        msg = f"{argv[0]}: {done.stderr[-3000:] or done.stdout[-3000:]}"
        raise RuntimeError(msg)
    return done.stdout


def needs() -> None:
    """Skip where images can be neither built nor run."""
    if os.geteuid():
        pytest.skip("needs root: to make a root file system, namespaces and control groups")
    missing = [name for name in ("buildah", "podman", "unshare", "ip") if shutil.which(name) is None]
    if not any(map(shutil.which, _RUNTIMES)):
        missing.append("crun or runc")
    if not os.environ.get("PYTHON_IMAGE") and shutil.which("mmdebstrap") is None:
        missing.append("mmdebstrap (or PYTHON_IMAGE=… in the environment)")
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: apt-get install them")
    if subprocess.run(["unshare", "--mount", "--net", "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs namespaces, which this machine does not permit")


class Store:
    """A store of images, and the programs that work on it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        places = ["--root", str(folder / "images"), "--runroot", str(folder / "run")]
        self._buildah = ["buildah", *places, "--storage-driver", "vfs"]
        self._podman = ["podman", *places, "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"]

    @cached_property
    def base(self) -> str:
        """The name of the image that the Dockerfile's stages begin from."""
        if given := os.environ.get("PYTHON_IMAGE"):
            _run(*self._buildah, "pull", given)
            return given
        archive = _CACHE / f"{_DEBIAN}.tar"
        if not archive.exists():
            archive.parent.mkdir(parents=True, exist_ok=True)
            made = archive.with_suffix(".part.tar")
            _run("mmdebstrap", "--variant=minbase", f"--include={_PACKAGES}", _DEBIAN, made)
            made.rename(archive)
        _run(*self._buildah, "from", "--name", "base", "scratch")
        _run(*self._buildah, "add", "base", archive, "/")
        _run(*self._buildah, "config", "--env", "PATH=/usr/local/bin:/usr/bin:/bin", "base")
        _run(*self._buildah, "commit", "--rm", "base", "localhost/base")
        return "localhost/base"

    @cached_property
    def runtime(self) -> str:
        """The runtime that can start a container on this machine."""
        said = []
        for name in filter(shutil.which, _RUNTIMES):
            try:
                _run(
                    *self._podman,
                    "--runtime",
                    name,
                    "run",
                    "--rm",
                    *_QUIET,
                    "--network=host",
                    self.base,
                    "true",
                )
            except RuntimeError as failed:
                said.append(f"{name}: {failed}")
            else:
                return name
        pytest.skip(f"no runtime starts a container here: {'; '.join(said)[-1000:]}")

    def build(self, target: str, *more: str) -> None:
        """Build a target of the Dockerfile, with the commands that stand in it."""
        mounts = [f"--volume={path}:{path}:ro" for path in _OF_THE_MACHINE if Path(path).exists()]
        _run(
            *self._buildah, "bud", "--runtime", self.runtime, "--network", "host", "--format", "docker",
            "--build-arg", f"PYTHON_IMAGE={self.base}", "--build-arg", "REVISION=0123456789abcdef",
            "--target", target, *mounts, *more, ROOT,
        )  # fmt: skip

    def run(
        self, image: str, one: Object, pod: Object, mounts: Mapping[str, Path], *words: str, name: str
    ) -> list[str]:
        """The command that runs a container of a pod, as its manifest says, with `words` as its arguments.

        Args:
            image: the image, which the manifest names otherwise.
            one: the container's part of the manifest.
            pod: the pod's.
            mounts: what stands for a volume, by its mount path.
            words: the arguments.
            name: the container's name; one that has it is replaced.
        """
        context = {**pod["securityContext"], **one["securityContext"]}
        assert context["runAsNonRoot"]
        assert not context["allowPrivilegeEscalation"]
        said = [
            f"--user={context['runAsUser']}:{context['runAsGroup']}",
            f"--read-only={str(context['readOnlyRootFilesystem']).lower()}",
            "--read-only-tmpfs=false",
            "--security-opt=no-new-privileges",
            *(f"--cap-drop={capability}" for capability in context["capabilities"]["drop"]),
            f"--memory={one['resources']['limits']['memory'].removesuffix('i').lower()}",
        ]
        read_only = {mount["mountPath"]: mount.get("readOnly", False) for mount in one["volumeMounts"]}
        said += [
            f"--volume={place}:{path}{':ro' if read_only.get(path) else ''}" for path, place in mounts.items()
        ]
        program = [*self._podman, "--runtime", self.runtime, "run", "--rm", "--replace", "--name", name]
        return [*program, *_QUIET, "--network=host", *said, image, *words]

    def inside(self, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a running container."""
        argv = [*self._podman, "--runtime", self.runtime, "exec", name, *words]
        return subprocess.run(argv, capture_output=True, text=True, timeout=_MINUTES, check=False)

    def read(self, image: str, path: str) -> str:
        """A file of an image."""
        program = [*self._podman, "--runtime", self.runtime, "run", "--rm", *_QUIET, "--network=host"]
        return _run(*program, "--entrypoint=cat", image, path)

    def labels(self, image: str) -> str:
        """What an image says of itself, as JSON."""
        return _run(*self._podman, "image", "inspect", image)


_QUIET = (
    "--pull=never",
    "--health-interval=disable",
    "--ulimit=nofile=1024:1024",
    "--ulimit=nproc=1024:1024",
)
"""The kubelet probes, not the engine; and a machine may not permit the engine's own limits, which are higher."""


@contextmanager
def loopback_alone() -> Iterator[None]:
    """Leave this thread, and what it starts, no network but loopback."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/self/ns/net").open("rb") as before:
        if libc.unshare(_CLONE_NEWNET):
            pytest.skip(f"needs a network namespace: {os.strerror(ctypes.get_errno())}")
        try:
            _run("ip", "link", "set", "lo", "up")
            yield
        finally:
            libc.setns(before.fileno(), _CLONE_NEWNET)
