"""The published formulas in numpy float64, written from the papers: the reference of the rules."""

from typing import Any

import numpy as np


class Formula:
    """One parameter vector under one rule; `step(g)` gives what is to be added to it."""

    def __init__(self, rule: str, lr: float, p: np.ndarray, **settings: Any) -> None:
        self.rule, self.lr, self.s, self.t = rule, lr, settings, 0
        self.p = p.astype(np.float64)
        self.m: dict[str, np.ndarray] = {}

    def slot(self, name: str, start: float = 0.0) -> np.ndarray:
        return self.m.setdefault(name, np.full_like(self.p, start))

    def step(self, g: np.ndarray) -> np.ndarray:
        self.t += 1
        u = getattr(self, self.rule)(g.astype(np.float64))
        self.p = self.p + u
        return u

    def mean(self, name: str, decay: float, x: np.ndarray) -> np.ndarray:
        self.m[name] = decay * self.slot(name) + (1 - decay) * x
        return self.m[name]

    def sgd(self, g: np.ndarray) -> np.ndarray:
        momentum = self.s.get("momentum")
        if momentum is None:
            return -self.lr * g
        self.m["trace"] = g + momentum * self.slot("trace")
        return -self.lr * (g + momentum * self.m["trace"] if self.s.get("nesterov") else self.m["trace"])

    def adagrad(self, g: np.ndarray) -> np.ndarray:
        self.m["sum"] = self.slot("sum", self.s.get("initial_accumulator_value", 0.1)) + g * g
        return -self.lr * g / np.sqrt(self.m["sum"] + self.s.get("eps", 1e-7))

    def rmsprop(self, g: np.ndarray) -> np.ndarray:
        s, decay = self.s, self.s.get("decay", 0.9)
        share = 1 - decay**self.t if s.get("bias_correction") else 1.0
        spread = self.mean("nu", decay, g * g) / share
        if s.get("centered"):
            spread = spread - (self.mean("mu", decay, g) / share) ** 2
        eps = s.get("eps", 1e-8)
        u = -self.lr * g / (np.sqrt(spread + eps) if s.get("eps_in_sqrt", True) else np.sqrt(spread) + eps)
        if s.get("momentum") is None:
            return u
        self.m["trace"] = u + s["momentum"] * self.slot("trace")
        return u + s["momentum"] * self.m["trace"] if s.get("nesterov") else self.m["trace"]

    def adam(self, g: np.ndarray) -> np.ndarray:
        s, b1, b2 = self.s, self.s.get("b1", 0.9), self.s.get("b2", 0.999)
        mu, nu = self.mean("mu", b1, g), self.mean("nu", b2, g * g)
        top = mu / (1 - b1**self.t)
        if s.get("nesterov"):
            top = b1 * mu / (1 - b1 ** (self.t + 1)) + (1 - b1) * g / (1 - b1**self.t)
        return -self.lr * top / (np.sqrt(nu / (1 - b2**self.t) + s.get("eps_root", 0.0)) + s.get("eps", 1e-8))

    def adamw(self, g: np.ndarray) -> np.ndarray:
        return self.adam(g) - self.lr * self.s.get("weight_decay", 1e-4) * self.p

    def nadam(self, g: np.ndarray) -> np.ndarray:
        self.s.setdefault("nesterov", True)
        return self.adam(g)

    def nadamw(self, g: np.ndarray) -> np.ndarray:
        return self.nadam(g) - self.lr * self.s.get("weight_decay", 1e-4) * self.p

    def amsgrad(self, g: np.ndarray) -> np.ndarray:
        b2 = self.s.get("b2", 0.999)
        mu, nu = self.mean("mu", 0.9, g), self.mean("nu", b2, g * g)
        if self.s.get("bias_correction_mu", True):
            mu = mu / (1 - 0.9**self.t)
        if self.s.get("bias_correction_nu", True):
            nu = nu / (1 - b2**self.t)
        self.m["max"] = np.maximum(self.slot("max"), nu)
        return -self.lr * mu / (np.sqrt(self.m["max"]) + 1e-8)

    def adamax(self, g: np.ndarray) -> np.ndarray:
        mu = self.mean("mu", 0.9, g)
        self.m["nu"] = np.maximum(0.999 * self.slot("nu"), np.abs(g) + 1e-8)
        return -self.lr * mu / (1 - 0.9**self.t) / self.m["nu"]

    def adadelta(self, g: np.ndarray) -> np.ndarray:
        g = g + self.s.get("weight_decay", 0.0) * self.p
        e_g = self.mean("e_g", 0.9, g * g)
        x = g * np.sqrt(self.slot("e_x") + 1e-6) / np.sqrt(e_g + 1e-6)
        self.mean("e_x", 0.9, x * x)
        return -self.lr * x

    def lion(self, g: np.ndarray) -> np.ndarray:
        c = 0.9 * self.slot("mu") + 0.1 * g
        self.mean("mu", self.s.get("b2", 0.99), g)
        return -self.lr * (np.sign(c) + 1e-3 * self.p)
