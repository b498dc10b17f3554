"""The same trainings by a PyTorch loop."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from jaxopt_lite.bench._loops import Training

ACTIVATIONS = {
    "sigmoid": torch.nn.Sigmoid,
    "tanh": torch.nn.Tanh,
    "relu": torch.nn.ReLU,
    "leaky_relu": torch.nn.LeakyReLU,
}


def looped(data: Any, trainings: list[Training]) -> Iterator[float]:
    """Validation accuracies of the trainings."""
    (x, y), (x_val, y_val), _ = (tuple(torch.from_numpy(np.array(a)) for a in part) for part in data)
    y, y_val = y.long(), y_val.long()
    for training in trainings:
        model = _model(training)
        optimizer = _optimizer(training, model)
        for rows in torch.from_numpy(np.array(training.rows)):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            yield float((model(x_val).argmax(1) == y_val).float().mean())


def use_best_threads(data: Any, training: Training) -> int:
    """Let PyTorch use one thread or all, whichever trains faster here, and return the number."""
    counts = sorted({1, torch.get_num_threads()})
    seconds = []
    for count in counts:
        torch.set_num_threads(count)
        next(looped(data, [training]))
        started = time.perf_counter()
        next(looped(data, [training]))
        seconds.append(time.perf_counter() - started)
    best = counts[seconds.index(min(seconds))]
    torch.set_num_threads(best)
    return best


def _model(training: Training) -> torch.nn.Sequential:
    parts: list[torch.nn.Module] = []
    for kernel, bias in training.layers:
        layer = torch.nn.Linear(*kernel.shape)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(kernel.T.copy()))
            layer.bias.copy_(torch.from_numpy(bias.copy()))
        parts += [layer, ACTIVATIONS[training.activation]()]
    return torch.nn.Sequential(*parts[:-1])


def _optimizer(training: Training, model: torch.nn.Module) -> torch.optim.Optimizer:
    """With optax's defaults, and the fused kernel where PyTorch has one for CPUs."""
    params, rate = model.parameters(), training.learning_rate
    if training.optimizer == "sgd":
        return torch.optim.SGD(params, rate, fused=True)
    if training.optimizer == "momentum":
        return torch.optim.SGD(params, rate, momentum=0.9, fused=True)
    if training.optimizer == "adagrad":
        return torch.optim.Adagrad(params, rate, initial_accumulator_value=0.1, eps=1e-7, fused=True)
    if training.optimizer == "rmsprop":
        return torch.optim.RMSprop(params, rate, alpha=0.9, eps=1e-8)
    return torch.optim.Adam(params, rate, fused=True)
