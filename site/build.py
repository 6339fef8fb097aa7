"""Build the site that needs no installation, the demo and the book: static files in site/build, for any web server.

The widgets are those of pipeline/app/web, the network is data/model.npz as ONNX, and onnxruntime-web comes from npm.
"""

import argparse
import html
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from string import Template

import book
import mistune
import numpy as np
from matplotlib import colormaps

from nn.spectrogram import FeatureConfig, mel_filters
from pipeline.app.form import title_of
from pipeline.app.stage import Stage, web
from pipeline.app.upload import Upload
from pipeline.song.audio import is_audio
from pipeline.song.recognition import MODEL_PATH, Recognizer

SITE = Path(__file__).parent
ROOT = SITE.parent
RUNTIME = SITE / "node_modules" / "onnxruntime-web" / "dist"
RUNTIME_FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")


def build(folder, model_path):
    """Write the whole site into `folder`, with the model of `model_path`."""
    install_runtime()
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("ort", "samples"):
        (folder / name).mkdir(parents=True)
    for name in RUNTIME_FILES:
        shutil.copy(RUNTIME / name, folder / "ort")
    for pattern in ("*.js", "*.css", "*.svg"):
        for path in SITE.glob(pattern):
            shutil.copy(path, folder)
    for name in ("piano", "other"):
        for ending in (".webm", ".mp4", "-poster.jpg"):
            shutil.copy(ROOT / "figures" / f"{name}{ending}", folder)
    shutil.copy(ROOT / "LICENSE", folder)
    write_widgets(folder)
    write_network(folder, model_path)
    write_pages(folder)
    print("Rendering the book ...", flush=True)
    book.build(folder / "book")


def install_runtime():
    """Fetch what package.json names with npm, unless it is there."""
    wanted = json.loads((SITE / "package.json").read_text())["dependencies"]
    packages = {name: SITE / "node_modules" / name / "package.json" for name in wanted}
    if all(
        path.is_file() and json.loads(path.read_text())["version"] == wanted[name] for name, path in packages.items()
    ):
        return
    npm = shutil.which("npm")
    if npm is None:
        sys.exit(f"npm is needed for {' and '.join(wanted)}: install Node.js, and run this again.")
    options = ["--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--omit=dev"]
    print(f"Fetching {' and '.join(wanted)} with npm ...", flush=True)
    if subprocess.run([npm, "install", *options], cwd=SITE, stdout=subprocess.DEVNULL).returncode:
        sys.exit("npm could not fetch them: its words are above.")


def write_widgets(folder):
    """The scripts and styles that the app in JupyterLab uses, each widget one module."""
    for name in ("stage", "player", "upload"):
        (folder / f"{name}.js").write_text(web("common.js", f"{name}.js"), encoding="utf-8")
    (folder / "app.css").write_text(web("app.css"), encoding="utf-8")


def write_network(folder, model_path):
    """The model as ONNX, what the worker must know of it, the sample songs, and the app's words."""
    recognizer = Recognizer(model_path)
    recognizer.model.to_onnx(folder / "model.onnx")
    features = FeatureConfig()
    mel_filters(features).astype("<f4").tofile(folder / "mel.bin")
    model = {
        "names": recognizer.class_names,
        "threshold": recognizer.threshold,
        "features": {name: getattr(features, name) for name in ("n_fft", "win_length", "hop_length", "n_mels")},
        "colours": np.round(255 * colormaps["magma"](np.arange(256))[:, :3]).astype(int).tolist(),
    }
    samples = sorted(filter(is_audio, (ROOT / "data" / "samples").iterdir()), key=title_of)
    for path in samples:
        shutil.copy(path, folder / "samples")
    app = {
        "names": recognizer.class_names,
        "threshold": recognizer.threshold,
        "accept": Upload.accept.default_value,
        "idle": Stage(None).view,
        "samples": [{"file": path.name, "title": title_of(path)} for path in samples],
    }
    app["idle"] |= {
        "detail": app["idle"]["detail"].replace(
            "Paste a link, choose a file,", "Choose a file, drop one here, play to the microphone,"
        )
    }
    for name, content in {"model": model, "app": app}.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


def write_pages(folder):
    """The landing page and the demo. What the README links to is in the book."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    results = re.search(r"^\|.*?(?=^[^|])", readme, re.MULTILINE | re.DOTALL)[0]
    install = re.search(r"## Installation.*?```\n(.*?)```", readme, re.DOTALL)[1]
    links = "".join(
        f'<li><a href="book/{path.relative_to(ROOT).with_suffix(".html").as_posix()}">{html.escape(title)}</a></li>'
        for path in book.documents()["Docs"]
        for title in re.findall(r"\A# (.+)", path.read_text(encoding="utf-8"))
    )
    landing = Template((SITE / "index.html").read_text(encoding="utf-8")).substitute(
        results=mistune.create_markdown(plugins=["table"])(re.sub(r"\((docs/.+?)\.md", r"(book/\1.html", results)),
        install=html.escape(re.sub(" +#.*", "", install).strip()),
        docs=f'<ul class="docs">{links}</ul>',
    )
    demo = (SITE / "demo.html").read_text(encoding="utf-8")
    script = '<script type="module" src="demo.js"></script>'
    frame = Template((SITE / "page.html").read_text(encoding="utf-8"))
    for name, title, content, head in (
        ("index.html", "Piano or Other", landing, ""),
        ("demo.html", "Is it a piano?", demo, script),
    ):
        (folder / name).write_text(frame.substitute(title=title, content=content, head=head), encoding="utf-8")


def main():
    """Read the command line, and build."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=MODEL_PATH, help="a model file of your own")
    parser.add_argument("--folder", type=Path, default=SITE / "build", help="where to; what is there is replaced")
    arguments = parser.parse_args()
    build(arguments.folder, arguments.model)
    print(f"The site is in {arguments.folder}. To look at it: python -m http.server -d {arguments.folder}")


if __name__ == "__main__":
    main()
