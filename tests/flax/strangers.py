"""Modules as users write them, in NNX and in Linen: none knows of this package."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import nnx


class CNN(nnx.Module):
    """As in Flax's MNIST example."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.conv1, self.conv2 = nnx.Conv(1, 8, (3, 3), rngs=rngs), nnx.Conv(8, 8, (3, 3), rngs=rngs)
        self.norm, self.dropout = nnx.BatchNorm(8, rngs=rngs), nnx.Dropout(0.025, rngs=rngs)
        self.linear1, self.linear2 = nnx.Linear(32, 16, rngs=rngs), nnx.Linear(16, 10, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = nnx.avg_pool(nnx.relu(self.norm(self.dropout(self.conv1(x)))), (2, 2), (2, 2))
        x = nnx.avg_pool(nnx.relu(self.conv2(x)), (2, 2), (2, 2))
        x = nnx.relu(self.dropout(self.linear1(x.reshape(x.shape[0], -1))))
        return self.linear2(x)


class LinenCNN(nn.Module):
    """The same in Linen."""

    @nn.compact
    def __call__(self, x: jax.Array, training: bool) -> jax.Array:
        x = nn.Dropout(0.025, deterministic=not training)(nn.Conv(8, (3, 3))(x))
        x = nn.avg_pool(nn.relu(nn.BatchNorm(use_running_average=not training)(x)), (2, 2), (2, 2))
        x = nn.avg_pool(nn.relu(nn.Conv(8, (3, 3))(x)), (2, 2), (2, 2))
        x = nn.relu(nn.Dense(16)(x.reshape(x.shape[0], -1)))
        return nn.Dense(10)(x)


class Block(nnx.Module):
    """Attention and a feed-forward layer, each after a normalisation."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.norm1, self.norm2 = nnx.LayerNorm(16, rngs=rngs), nnx.LayerNorm(16, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(2, 16, dropout_rate=0.1, decode=False, rngs=rngs)
        self.up, self.down = nnx.Linear(16, 32, rngs=rngs), nnx.Linear(32, 16, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = x + self.attention(self.norm1(x))
        return x + self.down(nnx.gelu(self.up(self.norm2(x))))


class Transformer(nnx.Module):
    """Tokens in, logits for each position out; the blocks are rematerialised."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.embed = nnx.Embed(50, 16, rngs=rngs)
        self.position = nnx.Param(0.02 * jax.random.normal(rngs.params(), (1, 12, 16)))
        self.block1, self.block2 = Block(rngs), Block(rngs)
        self.head = nnx.Linear(16, 50, rngs=rngs)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        x = self.embed(tokens) + self.position[...]
        for block in (self.block1, self.block2):
            x = nnx.remat(lambda block, x: block(x))(block, x)
        return self.head(x)


class LinenBlock(nn.Module):
    """Attention and a feed-forward layer."""

    @nn.compact
    def __call__(self, x: jax.Array, _: Any = None) -> tuple[jax.Array, None]:
        h = nn.LayerNorm()(x)
        x = x + nn.MultiHeadDotProductAttention(num_heads=2)(h, h)
        h = nn.Dense(32)(nn.LayerNorm()(x))
        return x + nn.Dense(16)(nn.gelu(h)), None


class LinenTransformer(nn.Module):
    """Tokens in, logits out; the blocks are scanned."""

    @nn.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        x = nn.Embed(50, 16)(tokens)
        x = x + self.param("position", nn.initializers.normal(0.02), (1, 12, 16))
        blocks = nn.scan(LinenBlock, variable_axes={"params": 0}, split_rngs={"params": True}, length=3)
        return nn.Dense(50)(blocks()(x, None)[0])


class VAE(nnx.Module):
    """A variational autoencoder that returns reconstruction, mean and log variance."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.encoder, self.mean = nnx.Linear(20, 16, rngs=rngs), nnx.Linear(16, 4, rngs=rngs)
        self.log_variance, self.decoder = nnx.Linear(16, 4, rngs=rngs), nnx.Linear(4, 16, rngs=rngs)
        self.out, self.rngs = nnx.Linear(16, 20, rngs=rngs), rngs

    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        h = nnx.tanh(self.encoder(x))
        mean, log_variance = self.mean(h), self.log_variance(h)
        noise = jax.random.normal(self.rngs.noise(), mean.shape)
        code = mean + jnp.exp(log_variance / 2) * noise
        return self.out(nnx.silu(self.decoder(code))), mean, log_variance


class LinenVAE(nn.Module):
    """As in Flax's VAE example: the noise's key is an argument."""

    @nn.compact
    def __call__(self, x: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        h = nn.tanh(nn.Dense(16, name="encoder")(x))
        mean, log_variance = nn.Dense(4, name="mean")(h), nn.Dense(4, name="log_variance")(h)
        code = mean + jnp.exp(log_variance / 2) * jax.random.normal(key, mean.shape)
        return nn.Dense(20, name="out")(nn.silu(nn.Dense(16, name="decoder")(code))), mean, log_variance


class Leaky(nnx.Module):
    """A rectifier whose slope is learned."""

    def __init__(self) -> None:
        self.slope = nnx.Param(jnp.float32(0.01))

    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.where(x >= 0, x, self.slope[...] * x)


class Odd(nnx.Module):
    """A layer that is called twice, one that is never called, a gate, a formula as activation, and a learned one."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.shared, self.unused = nnx.Linear(8, 8, rngs=rngs), nnx.Linear(8, 8, rngs=rngs)
        self.gate, self.up = nnx.Linear(8, 8, rngs=rngs), nnx.Linear(8, 8, rngs=rngs)
        self.learned, self.prelu = nnx.Linear(8, 8, rngs=rngs), Leaky()
        self.lora = nnx.LoRALinear(8, 8, lora_rank=2, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        for _ in range(2):
            h = self.shared(x)
            x = h * jnp.tanh(jnp.log1p(jnp.exp(h)))
        x = nnx.silu(self.gate(x)) * self.up(x)
        return self.lora(self.prelu(self.learned(x)))


def elbo(outputs: Any, x: jax.Array) -> jax.Array:
    """The negative evidence lower bound, one number per example."""
    reconstruction, mean, log_variance = outputs
    divergence = -0.5 * jnp.sum(1 + log_variance - mean**2 - jnp.exp(log_variance), axis=-1)
    return jnp.sum((reconstruction - x) ** 2, axis=-1) + divergence


def linen(module: nn.Module, *inputs: Any) -> tuple[nn.Module, Any]:
    """A Linen module with its variables."""
    return module, module.init(jax.random.key(0), *inputs)


def inputs() -> dict[str, jax.Array]:
    """Batches of 6 by kind."""
    a, b, c = jax.random.split(jax.random.key(7), 3)
    return {
        "image": jax.random.normal(a, (6, 8, 8, 1)),
        "tokens": jax.random.randint(b, (6, 12), 0, 50),
        "rows": jax.random.normal(c, (6, 20)),
    }


IMAGE, TOKENS, ROWS = inputs().values()
MODELS: dict[str, tuple[Callable[[], Any], jax.Array, Any]] = {
    "cnn": (lambda: CNN(nnx.Rngs(0)), IMAGE, None),
    "linen cnn": (lambda: linen(LinenCNN(), IMAGE, False), IMAGE, lambda m, x: m(x, training=True)),
    "transformer": (lambda: Transformer(nnx.Rngs(0)), TOKENS, None),
    "linen transformer": (lambda: linen(LinenTransformer(), TOKENS), TOKENS, None),
    "vae": (lambda: VAE(nnx.Rngs(0)), ROWS, None),
    "linen vae": (
        lambda: linen(LinenVAE(), ROWS, jax.random.key(1)),
        ROWS,
        lambda m, x: m(x, jax.random.key(1)),
    ),
    "odd": (lambda: Odd(nnx.Rngs(0)), ROWS[:, :8], None),
}
