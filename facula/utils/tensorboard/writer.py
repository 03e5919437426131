"""`SummaryWriter`: scalars, texts, histograms and pictures, written without TensorBoard."""

from __future__ import annotations

import datetime
import importlib
import os
import socket
import threading
import time
from typing import Any, NoReturn

import numpy as np

from facula.errors import refuse
from facula.utils.tensorboard import events, projector
from facula.utils.tensorboard.graph import graph

_counter = 0
_lock = threading.Lock()


class FileWriter:
    """One event file in a folder."""

    def __init__(
        self,
        log_dir: str,
        max_queue: int = 10,
        flush_secs: int = 120,
        filename_suffix: str = "",
    ) -> None:
        global _counter
        self._folder = os.fspath(log_dir)
        os.makedirs(self._folder, exist_ok=True)
        with _lock:
            number, _counter = _counter, _counter + 1
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}"
        path = os.path.join(self._folder, f"{name}.{os.getpid()}.{number}{filename_suffix}")
        self._file = open(path, "wb")  # noqa: SIM115 - closed by close()
        self._every, self._seconds = max_queue, flush_secs
        self._waiting, self._flushed = 0, time.monotonic()
        self._write(events.event(time.time(), None, events.message(3, "brain.Event:2")))
        self.flush()

    def get_logdir(self) -> str:
        """The folder."""
        return self._folder

    def add(self, what: bytes, step: Any, wall_time: float | None) -> None:
        """Append an event."""
        number = None if step is None else int(step)
        moment = time.time() if wall_time is None else wall_time
        self._write(events.event(moment, number, what))
        self._waiting += 1
        late = time.monotonic() - self._flushed > self._seconds
        if self._waiting > self._every or late:
            self.flush()

    def _write(self, data: bytes) -> None:
        if self._file.closed:
            raise ValueError(f"{self._file.name}: the writer is closed")
        self._file.write(events.record(data))

    def flush(self) -> None:
        """Give what was added to the system."""
        self._file.flush()
        self._waiting, self._flushed = 0, time.monotonic()

    def close(self) -> None:
        """Flush and close the file."""
        self._file.close()


class SummaryWriter:
    """Writes what a program measures to a folder that TensorBoard shows.

    Args:
        log_dir: the folder; by default `runs/` and the moment and the machine's name.
        comment: text at the end of the default folder's name.
        purge_step: accepted; events after it are not hidden.
        max_queue, flush_secs: how many events, and for how long, may wait to be written.
        filename_suffix: text at the end of the file's name.
    """

    def __init__(
        self,
        log_dir: Any = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: int = 120,
        filename_suffix: str = "",
    ) -> None:
        if not log_dir:
            moment = datetime.datetime.now().strftime("%b%d_%H-%M-%S")
            log_dir = os.path.join("runs", f"{moment}_{socket.gethostname()}{comment}")
        self.log_dir = os.fspath(log_dir)
        self._options = max_queue, flush_secs, filename_suffix
        self._writers: dict[str, FileWriter] = {}
        self._projected = ""
        self._writer(self.log_dir)

    def _writer(self, folder: str) -> FileWriter:
        if folder not in self._writers:
            self._writers[folder] = FileWriter(folder, *self._options)
        return self._writers[folder]

    @property
    def file_writer(self) -> FileWriter:
        return self._writer(self.log_dir)

    def get_logdir(self) -> str:
        """The folder."""
        return self.log_dir

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: Any = None,
        walltime: float | None = None,
        new_style: bool = False,
        double_precision: bool = False,
    ) -> None:
        """A number, for a step."""
        value = events.single(2, _number(scalar_value))
        self.file_writer.add(events.summary(tag, value), global_step, walltime)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: dict[str, Any],
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Several numbers in one diagram: each has a file of its own."""
        for tag, value in tag_scalar_dict.items():
            folder = os.path.join(self.log_dir, f"{main_tag.replace('/', '_')}_{tag}")
            made = events.summary(main_tag, events.single(2, _number(value)))
            self._writer(folder).add(made, global_step, walltime)

    def add_text(
        self, tag: str, text_string: str, global_step: Any = None, walltime: float | None = None
    ) -> None:
        """A text in Markdown."""
        made = events.summary(
            f"{tag}/text_summary", events.text_tensor([text_string]), events.plugin("text")
        )
        self.file_writer.add(made, global_step, walltime)

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: Any = None,
        bins: Any = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """How often values occur."""
        made = events.summary(tag, events.histogram(_array(values), bins))
        self.file_writer.add(made, global_step, walltime)

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """A picture: floating-point values from 0 to 1, or uint8."""
        made = events.summary(tag, events.image(_pixels(_array(img_tensor), dataformats)))
        self.file_writer.add(made, global_step, walltime)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Several pictures, side by side in rows of eight."""
        made = events.summary(tag, events.image(_pixels(_array(img_tensor), dataformats)))
        self.file_writer.add(made, global_step, walltime)

    def add_figure(
        self,
        tag: str,
        figure: Any,
        global_step: Any = None,
        close: bool = True,
        walltime: float | None = None,
    ) -> None:
        """A figure of Matplotlib, or several, as a picture."""
        figures = figure if isinstance(figure, list) else [figure]
        pictures = []
        for f in figures:
            f.canvas.draw()
            pictures.append(np.asarray(f.canvas.buffer_rgba())[..., :3])
            if close:
                importlib.import_module("matplotlib.pyplot").close(f)
        self.add_images(tag, np.stack(pictures), global_step, walltime, "NHWC")

    def add_hparams(
        self,
        hparam_dict: dict[str, Any],
        metric_dict: dict[str, Any],
        hparam_domain_discrete: Any = None,
        run_name: str | None = None,
        global_step: Any = None,
    ) -> None:
        """The settings of a run as a text, and its results as numbers."""
        rows = [f"|{k}|{v}|" for k, v in hparam_dict.items()]
        self.add_text("hparams", "\n".join(["|setting|value|", "|-|-|", *rows]), global_step)
        for tag, value in metric_dict.items():
            self.add_scalar(tag, value, global_step)

    def add_graph(
        self,
        model: Any,
        input_to_model: Any = None,
        verbose: bool = False,
        use_strict_trace: bool = True,
    ) -> None:
        """The operations of a module called with `input_to_model`, in the scopes of its parts."""
        made = graph(model, input_to_model)
        if verbose:
            print(made)
        self.file_writer.add(events.message(4, made), None, None)

    def add_embedding(
        self,
        mat: Any,
        metadata: Any = None,
        label_img: Any = None,
        global_step: Any = None,
        tag: str = "default",
        metadata_header: Any = None,
    ) -> None:
        """Vectors, one a row, for TensorBoard's projector; pictures are N x C x H x W."""
        pictures = None
        if label_img is not None:
            images = _array(label_img)
            pictures = np.stack([_pixels(x, "CHW") for x in images])
            pictures = np.broadcast_to(pictures, (*pictures.shape[:3], 3))
        step = 0 if global_step is None else int(global_step)
        self._projected += projector.write(
            self.log_dir, _array(mat), metadata, metadata_header, pictures, step, tag
        )
        with open(os.path.join(self.log_dir, "projector_config.pbtxt"), "w") as f:
            f.write(self._projected)

    def add_pr_curve(
        self,
        tag: str,
        labels: Any,
        predictions: Any,
        global_step: Any = None,
        num_thresholds: int = 127,
        weights: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Precision and recall of predictions from 0 to 1 against labels of 0 and 1."""
        n = min(num_thresholds, 127)
        weight = 1.0 if weights is None else _array(weights)
        value = events.pr_curve(_array(labels), _array(predictions), n, weight)
        made = events.summary(tag, value, events.plugin("pr_curves", events.integer(2, n)))
        self.file_writer.add(made, global_step, walltime)

    def add_video(self, *args: Any, **kwargs: Any) -> NoReturn:
        """NotImplementedError: not in Facula."""
        refuse("SummaryWriter.add_video", "videos are not written")

    def flush(self) -> None:
        """Give what was added to the system."""
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        """Close the files; a later call opens new ones."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _array(values: Any) -> np.ndarray:
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    return np.asarray(values)


def _number(value: Any) -> float:
    array = _array(value)
    if array.size != 1:
        raise AssertionError("add_scalar(): scalar should be 0D")
    return float(array.reshape(()))


def _pixels(image: np.ndarray, formats: str) -> np.ndarray:
    """Height x width x channels, in uint8; several pictures become one of rows of eight."""
    formats = formats.upper()
    if len(formats) != image.ndim or set(formats) - set("NHWC") or len(set(formats)) < image.ndim:
        raise AssertionError(
            f"size of input tensor and input format are different. tensor shape: {image.shape}, "
            f"input_format: {formats}"
        )
    order = [formats.index(d) for d in "NHWC" if d in formats]
    image = image.transpose(order)
    if "C" not in formats:
        image = image[..., None]
    if "N" in formats:
        image = _grid(image)
    if image.dtype != np.uint8:
        image = (image * 255.0).clip(0, 255).astype(np.uint8)
    return image


def _grid(images: np.ndarray, columns: int = 8) -> np.ndarray:
    n, height, width, channels = images.shape
    columns = min(n, columns)
    rows = -(-n // columns)
    grid = np.zeros((rows * height, columns * width, channels), images.dtype)
    for i, image in enumerate(images):
        y, x = divmod(i, columns)
        grid[y * height : (y + 1) * height, x * width : (x + 1) * width] = image
    return grid
