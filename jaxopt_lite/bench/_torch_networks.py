"""The CNNs in PyTorch."""

import time
from typing import Any

import numpy as np
import torch


class Loop:
    """Its trainings, with one thread or all and in the memory format that is faster here.

    The weights are those of the NNX module, in the order of its leaves: biases and kernels by the layers' names.
    """

    def __init__(self, one: Any, work: Any) -> None:
        self._numbers, self._work = one.data, work
        self._pool = torch.nn.MaxPool2d if work.name == "cnn" else torch.nn.AvgPool2d
        formats = (torch.contiguous_format, torch.channels_last)
        settings = [(count, form) for count in sorted({1, torch.get_num_threads()}) for form in formats]
        seconds = []
        for setting in settings:
            self._use(*setting)
            self._trained(work.rates[0], work.start.rows[:3])
            started = time.perf_counter()
            self._trained(work.rates[0], work.start.rows[:20])
            seconds.append(time.perf_counter() - started)
        self._use(*settings[seconds.index(min(seconds))])

    def _use(self, threads: int, form: torch.memory_format) -> None:
        self.threads, self._form = threads, form
        torch.set_num_threads(threads)
        images = [_tensor(x).permute(0, 3, 1, 2).contiguous(memory_format=form) for x, _ in self._numbers]
        self._data = list(zip(images, [_tensor(y).long() for _, y in self._numbers], strict=True))

    def __call__(self) -> list[float]:
        """The test losses of the trainings."""
        return [self._trained(rate, self._work.start.rows) for rate in self._work.rates]

    def _trained(self, rate: float, rows: np.ndarray) -> float:
        model = _model(self._work.start.weights, self._pool).to(memory_format=self._form)
        optimizer = torch.optim.Adam(model.parameters(), rate, fused=True)
        (x, y), test = self._data
        for batch in torch.from_numpy(np.array(rows)):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
        with torch.no_grad():
            return [float(torch.nn.functional.cross_entropy(model(a), b)) for a, b in ((x, y), test)][1]


def _model(weights: list[np.ndarray], pool: type[torch.nn.Module]) -> torch.nn.Sequential:
    (first_bias, first), (inner_bias, inner), (outer_bias, outer), (second_bias, second) = (
        weights[i : i + 2] for i in range(0, 8, 2)
    )
    layers = [
        torch.nn.Conv2d(1, 16, 3, padding="same"),
        torch.nn.Conv2d(16, 32, 3, padding="same"),
        torch.nn.Linear(7 * 7 * 32, inner.shape[1]),
        torch.nn.Linear(*outer.shape),
    ]
    # rows of the first dense kernel: NNX flattens (height, width, features), PyTorch (features, height, width)
    inner = inner.reshape(7, 7, 32, -1).transpose(2, 0, 1, 3).reshape(7 * 7 * 32, -1)
    kernels = [first.transpose(3, 2, 0, 1), second.transpose(3, 2, 0, 1), inner.T, outer.T]
    with torch.no_grad():
        for layer, kernel, bias in zip(layers, kernels, (first_bias, second_bias, inner_bias, outer_bias), strict=True):
            layer.weight.copy_(_tensor(kernel))
            layer.bias.copy_(_tensor(bias))
    relu = torch.nn.ReLU
    return torch.nn.Sequential(
        *(layers[0], relu(), pool(2), layers[1], relu(), pool(2), torch.nn.Flatten(), layers[2], relu(), layers[3])
    )


def _tensor(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(x))
