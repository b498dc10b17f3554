"""What another process gets of a value."""

import pickle
import weakref
from types import ModuleType
from typing import Any

import cloudpickle
import pytest

from jaxopt_lite.sweeps.execution._pickle import dumps


def sent(value: Any, module: ModuleType) -> Any:
    """The value with the classes of a module sent by value; in this process cloudpickle would find them again."""
    cloudpickle.register_pickle_by_value(module)
    try:
        text = dumps(value)
    finally:
        cloudpickle.unregister_pickle_by_value(module)
    with pytest.MonkeyPatch.context() as other:
        tracked = {"_DYNAMIC_CLASS_TRACKER_BY_ID": weakref.WeakValueDictionary()}
        tracked["_DYNAMIC_CLASS_TRACKER_BY_CLASS"] = weakref.WeakKeyDictionary()
        for name, empty in tracked.items():
            other.setattr(cloudpickle.cloudpickle, name, empty)
        return pickle.loads(text)
