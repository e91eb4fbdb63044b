"""Conditions as NumPy operations on the columns of new ticks, without a query. Pure; any thread.

A query of Polars takes about 0.2 ms however few its rows are, as long as decoding a thousand ticks.
So conditions are compiled, once, to the operations that they consist of. An operation is recognised
by applying it again: an expression is ``a + b`` if adding its inputs gives an equal expression.
Conditions with any other operation are left to Polars: `compile_condition` returns None for them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from kitepolars.frames.schema import SCHEMA


class Value(NamedTuple):
    """What an expression gives.

    Parameters
    ----------
    values
        By row; of a literal a Python number. Where it is null, anything.
    valid
        Where it is not null; None if it is null nowhere.
    """

    values: Any
    valid: Any = None


class Columns(Protocol):
    """The rows that a condition is evaluated on."""

    def column(self, name: str) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_] | None]:
        """Return a column's values, and where they are not null, or None if they are nowhere.

        Raises
        ------
        KeyError
            If it is no column of numbers.
        """
        ...


class Operation(NamedTuple):
    """An operation, on expressions and on their values.

    Parameters
    ----------
    expression
        Returns the expression of its inputs.
    value
        Returns the value of its inputs; raises `TypeError` for values that it does not take.
    """

    expression: Callable[..., pl.Expr]
    value: Callable[..., Value]


def _both_valid(first: Any, second: Any) -> Any:
    if first is None or second is None:
        return second if first is None else first
    return first & second


def _of_one(function: Callable[[Any], Any]) -> Callable[[Value], Value]:
    """Return an operation that is null where its input is."""
    return lambda a: Value(function(a.values), a.valid)


def _of_two(function: Callable[[Any, Any], Any]) -> Callable[[Value, Value], Value]:
    """Return an operation that is null where one of its inputs is."""
    return lambda a, b: Value(function(a.values, b.values), _both_valid(a.valid, b.valid))


# Polars orders all numbers: NaN equals itself and is greater than the others. A literal is not NaN.


def _is_greater(a: Any, b: Any) -> Any:
    greater = np.logical_not(np.less_equal(a, b))  # true where either is NaN
    return greater & (b == b) if isinstance(b, np.ndarray) else greater  # noqa: PLR0124


def _is_not_less(a: Any, b: Any) -> Any:
    not_less = np.greater_equal(a, b)  # false where either is NaN
    return not_less | (a != a) if isinstance(a, np.ndarray) else not_less  # noqa: PLR0124


def _is_equal(a: Any, b: Any) -> Any:
    equal = np.equal(a, b)
    are_arrays = isinstance(a, np.ndarray) and isinstance(b, np.ndarray)
    return equal | ((a != a) & (b != b)) if are_arrays else equal  # noqa: PLR0124


def _check_kind(value: Value, kinds: str) -> None:
    """Raise `TypeError` if a value is not of one of NumPy's kinds."""
    if np.asarray(value.values).dtype.kind not in kinds:
        raise TypeError


def _and(a: Value, b: Value) -> Value:
    return _not(_or(_not(a), _not(b)))


def _or(a: Value, b: Value) -> Value:
    """Return ``a | b``, which is true if one of both is, whatever the other."""
    for one in (a, b):
        _check_kind(one, "b")
    if a.valid is None and b.valid is None:
        return Value(a.values | b.values)
    is_true = [one.values if one.valid is None else one.values & one.valid for one in (a, b)]
    either = is_true[0] | is_true[1]
    return Value(either, either | _both_valid(a.valid, b.valid))


def _not(a: Value) -> Value:
    _check_kind(a, "b")
    return Value(np.logical_not(a.values), a.valid)


def _when(condition: Value, then: Value, otherwise: Value) -> Value:
    _check_kind(condition, "b")
    holds = condition.values if condition.valid is None else condition.values & condition.valid
    values = np.where(holds, then.values, otherwise.values)
    if then.valid is None and otherwise.valid is None:
        return Value(values)
    valid = (True if one.valid is None else one.valid for one in (then, otherwise))
    return Value(values, np.where(holds, *valid))


def _is_valid(a: Value) -> Value:
    return Value(np.ones(len(a.values), np.bool_) if a.valid is None else a.valid)


def _is_between(a: Value, lowest: Value, highest: Value) -> Value:
    is_not_less = _of_two(_is_not_less)
    return _and(is_not_less(a, lowest), is_not_less(highest, a))


def _as_float(a: Value) -> Value:
    _check_kind(a, "uif")
    return Value(a.values.astype(np.float64), a.valid)


def _level(a: Value, number: Value) -> Value:
    return Value(a.values[:, operator.index(number.values)], a.valid)


def _sum_of_levels(a: Value) -> Value:
    _check_kind(a, "ui")  # sums of whole numbers are exact in any order
    return Value(a.values.astype(np.float64) @ np.ones(a.values.shape[1]), a.valid)


_FLOATS: Final = SCHEMA["bid_price"]

_OPERATIONS: Final[tuple[tuple[Operation, ...], ...]] = (
    (),
    (
        Operation(lambda a: a.cast(pl.Float64), _as_float),
        Operation(lambda a: a.cast(_FLOATS).arr.sum(), _sum_of_levels),
        Operation(operator.invert, _not),
        Operation(operator.neg, _of_one(np.negative)),
        Operation(lambda a: a.abs(), _of_one(np.abs)),
        Operation(lambda a: a.is_not_null(), _is_valid),
        Operation(lambda a: a.is_null(), lambda a: _not(_is_valid(a))),
    ),
    (
        Operation(operator.gt, _of_two(_is_greater)),
        Operation(operator.lt, _of_two(lambda a, b: _is_greater(b, a))),
        Operation(operator.ge, _of_two(_is_not_less)),
        Operation(operator.le, _of_two(lambda a, b: _is_not_less(b, a))),
        Operation(operator.eq, _of_two(_is_equal)),
        Operation(operator.ne, _of_two(lambda a, b: ~_is_equal(a, b))),
        Operation(operator.and_, _and),
        Operation(operator.or_, _or),
        Operation(operator.add, _of_two(np.add)),
        Operation(operator.sub, _of_two(np.subtract)),
        Operation(operator.mul, _of_two(np.multiply)),
        Operation(operator.truediv, _of_two(np.true_divide)),
        Operation(lambda a, b: a.arr.get(b), _level),
        Operation(lambda a, b: a.arr.get(b, null_on_oob=True), _level),  # `arr.first()` too
        Operation(lambda a, b: a.fill_null(b), lambda a, b: _when(_is_valid(a), a, b)),
    ),
    (
        Operation(lambda p, a, b: pl.when(p).then(a).otherwise(b), _when),
        Operation(lambda a, low, high: a.is_between(low, high), _is_between),
    ),
)
"""By the number of inputs."""

_OF_WHEN: Final = 3

_Step: TypeAlias = Callable[[Columns, Sequence[Value]], Value]


class CompiledCondition:
    """The steps that evaluate a condition.

    Parameters
    ----------
    steps
        Each takes the rows, and what the steps before it gave.
    """

    def __init__(self, steps: Sequence[_Step]) -> None:
        self._steps = tuple(steps)

    def values(self, rows: Columns) -> list[Value]:
        """Return what each step gives for some rows."""
        done: list[Value] = []
        with np.errstate(all="ignore"):
            for step in self._steps:
                done.append(step(rows, done))
        return done

    def evaluate(self, rows: Columns) -> Value:
        """Return where the condition holds: Booleans."""
        return self.values(rows)[-1]


def compile_condition(condition: pl.Expr) -> CompiledCondition | None:
    """Return the steps that evaluate a condition on ticks; None if Polars has to.

    Parameters
    ----------
    condition
        An expression that is true or false at each row of a frame with the columns of ``frame()``.

    Examples
    --------
    >>> compile_condition(pl.col("last_price") > 1500) is None
    False
    >>> compile_condition(pl.col("symbol") == "NSE:INFY") is None
    True
    """
    compiler = _Compiler()
    try:
        compiler.add(condition)
        return compiler.compiled()
    except _NOT_TAKEN:
        return None


class _NotCompiled(Exception):
    """An expression is none of the operations."""


_NOT_TAKEN: Final = (
    *(_NotCompiled, pl.exceptions.PolarsError),
    *(ArithmeticError, AttributeError, LookupError, TypeError, ValueError),
)
"""What operations raise for inputs that they do not take, such as a number beyond a dtype."""


class _Compiler:
    """Finds the steps of an expression: each once, after its inputs."""

    def __init__(self) -> None:
        self._steps: list[_Step] = []
        self._nodes: dict[bytes, tuple[int, pl.Expr]] = {}

    def add(self, node: pl.Expr) -> int:
        """Return the number of the step that gives an expression, making it if there is none."""
        node = node.meta.undo_aliases()
        written = node.meta.serialize()
        if written not in self._nodes:
            step = self._step(node, written)
            self._nodes[written] = len(self._steps), node
            self._steps.append(step)
        return self._nodes[written][0]

    def _step(self, node: pl.Expr, written: bytes) -> _Step:
        if node.meta.is_column():
            return _column(node.meta.output_name())
        if node.meta.is_literal():
            return _literal(pl.select(node).item(), written)
        for inputs in _inputs(node):
            for operation in _OPERATIONS[len(inputs)]:
                if operation.expression(*inputs).meta.serialize() == written:
                    return _operation(operation, [self.add(each) for each in inputs])
        raise _NotCompiled

    def compiled(self) -> CompiledCondition:
        """Return the steps, if each gives the dtype that Polars gives."""
        compiled = CompiledCondition(self._steps)
        named = {f"{number}": node for number, node in self._nodes.values()}
        want = _NO_TICKS.lazy().select(**named).collect_schema()
        values = dict(zip(named, compiled.values(_NoRows()), strict=True))
        for name, node in named.items():
            found = values[name].values
            # A literal takes the dtype of what it is used with.
            is_array = isinstance(found, np.ndarray)
            if pl.Series(found).dtype != want[name] if is_array else not node.meta.is_literal():
                raise _NotCompiled
        return compiled


def _inputs(node: pl.Expr) -> Iterator[list[pl.Expr]]:
    """Yield what an expression may be an operation of: its inputs, or those of its input."""
    inputs = node.meta.pop()[::-1]
    if len(inputs) < len(_OPERATIONS):
        yield inputs
    if len(inputs) == _OF_WHEN:
        then, otherwise, condition = inputs
        yield [condition, then, otherwise]
    elif len(inputs) == 1 and len(further := inputs[0].meta.pop()) == 1:
        yield further


def _column(name: str) -> _Step:
    return lambda rows, _: Value(*rows.column(name))


def _literal(found: object, written: bytes) -> _Step:
    """Return the step of a number, a truth or null that has no dtype yet."""
    is_plain = found is None or isinstance(found, bool | int | float)
    is_nan = found != found  # noqa: PLR0124
    if not is_plain or is_nan or pl.lit(found).meta.serialize() != written:
        raise _NotCompiled
    value = Value(False, np.False_) if found is None else Value(found)
    return lambda *_: value


def _operation(operation: Operation, inputs: Sequence[int]) -> _Step:
    value = operation.value
    if len(inputs) == 1:
        (only,) = inputs
        return lambda _, done: value(done[only])
    return lambda _, done: value(*(done[each] for each in inputs))


_NO_TICKS: Final = pl.DataFrame(schema=SCHEMA)

_NUMBER_COLUMNS: Final = {
    column.name: column.to_numpy()
    for column in _NO_TICKS.get_columns()
    if column.dtype.is_numeric() or isinstance(column.dtype, pl.Array | pl.Boolean)
}


class _NoRows:
    """The columns of ticks, without rows."""

    def column(self, name: str) -> tuple[npt.NDArray[Any], None]:
        return _NUMBER_COLUMNS[name], None
