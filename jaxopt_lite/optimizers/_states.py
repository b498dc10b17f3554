"""The state of an optimizer belongs to it: one clear error where another one is given."""

from collections.abc import Collection, Mapping
from typing import Any


def check_state(rule: Any, settings: Collection[str], fixed: Mapping[str, Any], state: Any) -> None:
    """Check that a state was made by a rule with the same settings and moments.

    The state of a rule that keeps the same ones passes, as `adam`'s does for `nadam`: their moments mean the same.

    Args:
        rule: the rule that is given the state. A method `slots` lists its moments.
        settings: the names of the settings that its own states have.
        fixed: its static arguments.
        state: what `update` was given.

    Raises:
        TypeError: if the settings or the moments differ.
    """
    if not settings:
        return
    slots = getattr(rule, "slots", None)
    moments = () if slots is None else slots(set(settings), fixed)
    given, kept = getattr(state, "settings", None), getattr(state, "moments", {})
    if given is not None and set(given) == set(settings) and (slots is None or set(kept) == set(moments)):
        return
    if given is None:
        found = f"a state of {type(state).__name__}"
    else:
        found = f"the state of another optimizer, with settings {_listed(given)} and moments {_listed(kept)}"
    raise TypeError(
        f"{rule.name}.update was given {found}: it needs settings {_listed(settings)} and moments {_listed(moments)}. "
        f"Give a state of its own init, of from_optax(tx, state, params) if it is one of optax's, or of "
        f"swap(tx, state, params) if it is another optimizer's"
    )


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "none"
