"""One run: a task, its data, and the loop that trains it."""

from jaxopt_lite.training._builtin import builtin as builtin
from jaxopt_lite.training._run import Trained as Trained
from jaxopt_lite.training._run import run as run
from jaxopt_lite.training._streamed import streamed as streamed
from jaxopt_lite.training._supervised import supervised as supervised
from jaxopt_lite.training._task import Task as Task
from jaxopt_lite.training.streams._stream import Stream as Stream
from jaxopt_lite.training.streams._stream import StreamError as StreamError
