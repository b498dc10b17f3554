"""Transforms around other transforms: chain, clip, accumulate, guard, average, partition, compress, rounding, lift."""
