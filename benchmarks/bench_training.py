"""Measure training steps: ours against the plain loop that papers use; write Markdown to stdout.

Everything is measured in one run on one machine; what counts are the ratios. On a CPU a small
network on small inputs stands for the paper's, which a CPU cannot train; on a GPU it is the paper's
own, and the share of the measured peak of matrix products is given too.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

from weaklesion.models import build_model
from weaklesion.study.arms import training_settings
from weaklesion.study.settings import TrainingSettings
from weaklesion.support.yaml_files import read_yaml
from weaklesion.training.cpu_convolutions import speed_up_on_cpu
from weaklesion.training.data import SplitData
from weaklesion.training.inputs import IMAGENET_MEAN, IMAGENET_STD, InputGeometry, input_geometry
from weaklesion.training.optimizers import make_optimizer
from weaklesion.training.steps import make_step, training_step
from weaklesion.training.tasks import make_task

ROOT = Path(__file__).resolve().parent.parent
ON_GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if ON_GPU else "cpu")
ENCODER = "resnet101" if ON_GPU else "resnet18"
SIDE_PX = 120 if ON_GPU else 64
NATIVE = (128, 128) if ON_GPU else (64, 64)
PADDED = (384, 480) if ON_GPU else (192, 256)  # about as much larger as the released frame
SECONDS = 3.0 if ON_GPU else 12.0
ROUNDS = 3
LEAST_RATIO = 6.0 if ON_GPU else 1.5
LEAST_SHARE = 0.35
AT_ONCE = (12,)  # processes on one GPU


def settings(
    pad_to: tuple[int, int], batch_size: int, precision: str, encoder: str = ENCODER
) -> TrainingSettings:
    """Return the paper's recipe of A1, from scratch, for one frame, batch size and encoder."""
    config = read_yaml(ROOT / "config.yaml")
    changes = {
        "encoder": encoder,
        "weights": "none",
        "input_px": SIDE_PX,
        "pad_to": pad_to,
        "batch_size": batch_size,
        "precision": precision,
    }
    return TrainingSettings(**training_settings(config, "ham10k", "corrected", "a1") | changes)


class PlainDataset(Dataset):
    """Patches prepared one by one on the CPU, as papers do."""

    def __init__(self, images: np.ndarray, targets: np.ndarray, geometry: InputGeometry) -> None:
        self.images, self.targets, self.geometry = images, targets, geometry

    def __len__(self) -> int:
        """Number of patches."""
        return len(self.images)

    def __getitem__(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """One normalised and padded image, and its target."""
        width = [
            (before, size - SIDE_PX - before)
            for size, before in zip(self.geometry.pad_to_hw, self.geometry.before_hw, strict=True)
        ]
        image = np.pad(self.images[number], [*width, (0, 0)], mode="reflect") / np.float32(255)
        image = (image - np.array(IMAGENET_MEAN, np.float32)) / np.array(IMAGENET_STD, np.float32)
        target = np.pad(self.targets[number], width, mode="reflect").astype(np.float32)
        return torch.from_numpy(image.transpose(2, 0, 1).copy()), torch.from_numpy(target)[None]


def plain_loop(images: np.ndarray, targets: np.ndarray, chosen: TrainingSettings) -> Iterator[int]:
    """Train eagerly in float32, one batch after the other from a loader with one worker."""
    geometry = input_geometry(chosen, SIDE_PX)
    model = build_model("a1", encoder=ENCODER).to(DEVICE).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=chosen.learning_rate)
    loader = DataLoader(
        PlainDataset(images, targets, geometry),
        batch_size=chosen.batch_size,
        shuffle=True,
        num_workers=1,
        drop_last=True,
        persistent_workers=True,
    )
    while True:
        for batch, wanted in loader:
            logits = model(batch.to(DEVICE))
            loss = F.binary_cross_entropy_with_logits(logits, wanted.to(DEVICE))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()  # printed by such loops
            yield len(batch)


def our_loop(
    images: np.ndarray,
    targets: np.ndarray,
    chosen: TrainingSettings,
    *,
    recorded: bool = True,
    rewritten: bool = True,
) -> Iterator[int]:
    """Train with this project's step.

    Args:
        images: (N, SIDE_PX, SIDE_PX, 3) uint8.
        targets: (N, SIDE_PX, SIDE_PX) uint8.
        chosen: settings of the training.
        recorded: whether a GPU replays the step as a CUDA graph.
        rewritten: whether a CPU computes convolutions our way, not torch's.
    """
    task = make_task(chosen, SIDE_PX)
    geometry = input_geometry(chosen, SIDE_PX)
    data = SplitData(
        [str(number) for number in range(len(images))],
        geometry.load_images(images, DEVICE),
        geometry.load_targets(targets, DEVICE),
        None,
    )
    model: nn.Module = build_model("a1", encoder=chosen.encoder).to(DEVICE).train()
    if ON_GPU:
        model = model.to(memory_format=torch.channels_last)
    elif rewritten:
        model = speed_up_on_cpu(model)
    optimizer = make_optimizer(model, chosen, recorded=ON_GPU)
    step = make_step(model, optimizer, data, task)
    while True:
        for index in torch.randperm(len(images), device=DEVICE).split(chosen.batch_size):
            if len(index) == chosen.batch_size:
                if recorded:
                    step(index, None)
                else:
                    training_step(model, optimizer, data, index, None, task)
                yield len(index)


Loop = Callable[[np.ndarray, np.ndarray, TrainingSettings], Iterator[int]]


def rates(
    loops: dict[str, tuple[Loop, TrainingSettings]], wait: Callable[[], None] = lambda: None
) -> dict[str, float]:
    """Return images a second of each loop: the median of rounds in which all take turns.

    Args:
        loops: what is measured.
        wait: called once, between warming up and measuring.
    """
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (512, SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
    targets = rng.integers(0, 2, (512, SIDE_PX, SIDE_PX), dtype=np.uint8)
    running = {name: loop(images, targets, chosen) for name, (loop, chosen) in loops.items()}
    for name, steps in running.items():
        print(f"warming up: {name}", file=sys.stderr, flush=True)
        for _ in range(3):
            next(steps)
    wait()
    measured: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(ROUNDS):
        for name, steps in running.items():
            _wait()
            started, count = time.perf_counter(), 0
            while time.perf_counter() - started < SECONDS / ROUNDS:
                count += next(steps)
            _wait()
            measured[name].append(count / (time.perf_counter() - started))
    return {name: statistics.median(values) for name, values in measured.items()}


def _wait() -> None:
    if ON_GPU:
        torch.cuda.synchronize()


def at_once(count: int) -> float:
    """Return images a second of so many processes that train at once, all together."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--one-of", str(count), "--meet-in", folder]
        started = [
            subprocess.Popen([*command, "--number", str(number)], stdout=subprocess.PIPE, text=True)
            for number in range(count)
        ]
        printed = [process.communicate()[0] for process in started]
    return sum(float(line) for line in printed)


def one_of(count: int, number: int, folder: Path) -> None:
    """Train beside others, once all are ready; print images a second."""

    def wait() -> None:
        (folder / str(number)).touch()
        while len(list(folder.iterdir())) < count:
            time.sleep(0.05)

    measured = rates({"ours": (our_loop, settings(NATIVE, 10, "bfloat16"))}, wait)
    print(measured["ours"])


def machine() -> str:
    """Return the name of the device."""
    if ON_GPU:
        return torch.cuda.get_device_name()
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(": ")[1] for line in lines if line.startswith("model name")]
    return f"{len(names)} cores of {names[0]}"


def step_flops(chosen: TrainingSettings) -> float:
    """Count the floating-point operations of a training step, for one image."""
    model = build_model("a1", encoder=ENCODER).to("meta").train()
    batch = torch.empty(2, 3, *chosen.pad_to, device="meta")
    with FlopCounterMode(display=False) as counter:
        model(batch).sum().backward()
    return counter.get_total_flops() / 2


def peak_bf16_flops() -> float:
    """Measure the rate of a large bfloat16 matrix product, in operations a second."""
    a, b = (torch.randn(8192, 8192, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(5):
        a @ b
    times = []
    for _ in range(20):
        _wait()
        started = time.perf_counter()
        a @ b
        _wait()
        times.append(time.perf_counter() - started)
    return 2 * 8192**3 / statistics.median(times)


def main() -> int:
    """Print the tables; return 1 if a bound is not met."""
    torch.backends.cudnn.benchmark = True
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one-of", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--number", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--meet-in", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one_of:
        one_of(given.one_of, given.number, given.meet_in)
        return 0
    native, padded = (settings(frame, 10, "bfloat16") for frame in (NATIVE, PADDED))
    loops: dict[str, tuple[Loop, TrainingSettings]] = {
        "plain loop": (plain_loop, native),
        "ours, float32": (our_loop, settings(NATIVE, 10, "float32")),
        "ours": (our_loop, native),
        **({"ours, not recorded": (partial(our_loop, recorded=False), native)} if ON_GPU else {}),
        "ours, padded": (our_loop, padded),
        "plain loop, padded": (plain_loop, padded),
    }
    if not ON_GPU:
        for encoder in (ENCODER, "timm-tf_efficientnet_lite0"):
            larger = settings((128, 128), 10, "bfloat16", encoder)
            loops[f"{encoder}, 128x128"] = (our_loop, larger)
            by_torch = partial(our_loop, rewritten=False)
            loops[f"{encoder}, 128x128, convolutions of torch"] = (by_torch, larger)
    batches = (4, 10, 20, 40)
    loops |= {f"batch {size}": (our_loop, settings(NATIVE, size, "bfloat16")) for size in batches}
    measured = rates(loops)
    plain = measured["plain loop"]
    print(
        f"\n## Training\n\n{machine()}, torch {torch.__version__}. A1 with {ENCODER}, "
        f"{NATIVE[0]}x{NATIVE[1]} inputs (padded: {PADDED[0]}x{PADDED[1]}), batches of 10 unless "
        "stated otherwise.\n\n| Step | Images per second | Against the plain loop |\n|---|---|---|"
    )
    for name, rate in measured.items():
        print(f"| {name} | {rate:.1f} | {rate / plain:.2f} |")
    if ON_GPU:
        for count in AT_ONCE:
            rate = at_once(count)
            print(
                f"| {count} training runs at once | {rate:.1f} | {rate / plain:.2f} |", flush=True
            )
    ratio = measured["ours"] / plain
    print(
        f"\n{'met' if ratio >= LEAST_RATIO else 'NOT MET'}: ours at least {LEAST_RATIO} times the "
        f"plain loop: {ratio:.2f}."
    )
    met = ratio >= LEAST_RATIO
    if ON_GPU:
        peak = peak_bf16_flops()
        print(f"\nMeasured bfloat16 matrix products: {peak / 1e12:.0f} TFLOP/s.\n")
        for name, chosen in (("ours", native), ("ours, padded", padded)):
            flops = step_flops(chosen)
            share = measured[name] * flops / peak
            print(f"- {name}: {flops / 1e9:.0f} GFLOP an image, {100 * share:.0f} % of that rate.")
        met &= share >= LEAST_SHARE
        print(
            f"\n{'met' if share >= LEAST_SHARE else 'NOT MET'}: padded steps at {LEAST_SHARE:.0%}"
            " of it or more."
        )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
