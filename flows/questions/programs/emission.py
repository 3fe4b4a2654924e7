"""From a tree to pandas code, and to the probe that tells how firm its answer is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from string import Formatter

from flows.questions.eligible import date_code
from flows.questions.programs.grammar import Form, Node, Scene, Sort
from flows.questions.programs.shaping import Shape

_GROUPS = (Sort.KEY, Sort.HALVES, Sort.DATE)
_RANKED = (Sort.RANKING, Sort.TIMELINE, Sort.PAIRING)
_REPEATS = 3
"""An expression that a template needs so often is given a name."""
_PROBE_HEAD = """def gap(ranked, places=1):
    ordered = np.sort(ranked.dropna().to_numpy(dtype="float64"))[::-1][: places + 1]
    larger = np.maximum(np.abs(ordered[:-1]), np.abs(ordered[1:]))
    steps = np.divide(ordered[:-1] - ordered[1:], larger, out=np.zeros_like(larger), where=larger > 0)
    return float(steps.min()) if len(steps) else 1.0


"""
_FOLD = {
    "rows": "int(min([{}]))",
    "smallest_group": "int(np.nan_to_num(min([{}])))",
    "margin": "float(min([{}]))",
    "p_value": "float(max([{}]))",
    "trivial": "any(bool(each) for each in [{}])",
}


@dataclass(frozen=True)
class Program:
    """What a tree has become.

    Attributes:
        code: The program: one statement a line, the last one submits.
        probe: The code that submits `Facts` after it, in the same session.
        guards: The code that submits, before it, whether the rows, groups and values it needs are there.
        statements: Lines of the program.
    """

    code: str
    probe: str
    statements: int
    guards: tuple[str, ...] = ()


def emit(root: Node, shape: Shape, scene: Scene) -> Program:
    """Write a tree as a program.

    Args:
        root: A tree that gives an answer.
        shape: How the answer is submitted.
        scene: The table it is bound to.
    """
    writer = _Writer(scene)
    writer.submit(writer.render(root, "df"), shape)
    guards = tuple(_Writer(scene).guards(root))
    return Program("\n".join(writer.lines) + "\n", writer.probe(), len(writer.lines), guards)


class _Writer:
    """Writes statements bottom-up; what has been written once is used again by its name."""

    def __init__(self, scene: Scene) -> None:
        self.lines: list[str] = []
        self._scene = scene
        self._names: Counter[str] = Counter()
        self._seen: dict[tuple[str, str], str] = {}
        self._facts: list[tuple[Mapping[str, str], dict[str, str], tuple[str, ...]]] = []

    def render(self, node: Node, frame: str) -> str:
        """The expression of a node over the rows of `frame`, its statements written."""
        at = (node.key, frame)
        if at not in self._seen:
            self._seen[at] = self._statement(node, frame)
        return self._seen[at]

    def submit(self, result: str, shape: Shape) -> None:
        """Write the last statement."""
        self.lines.append(f"submit({_SUBMITTED[shape.form](result, shape)})")

    def probe(self) -> str:
        """The code that submits the facts, by name."""
        found: dict[str, list[str]] = {name: [] for name in _FOLD}
        for facts, named, inputs in self._facts:
            for name, template in facts.items():
                found[name].append(_fill(template, inputs, named))
        entries = [
            f'    "{name}": {_FOLD[name].format(", ".join(dict.fromkeys(each)))},'
            for name, each in found.items()
            if each
        ]
        head = _PROBE_HEAD if any("gap(" in entry for entry in entries) else ""
        return head + "submit({\n" + "\n".join(entries) + "\n})\n"

    def guards(self, root: Node) -> Iterator[str]:
        """Cells that run before the program: one forms its rows and groups, the next ranks them; each submits facts."""
        rows, groups = ["len(df)"], []
        for node in root.walk():
            if node.operator.gives is Sort.TABLE or Sort.TABLE not in node.operator.takes:
                continue
            frame = self._complete(self.render(node.inputs[0], "df"), node)
            rows.append(f"len({frame})")
            keys = [self.render(each, frame) for each in node.inputs if each.operator.gives in _GROUPS]
            groups += [self._assign("counts", f"{key}.value_counts()") for key in keys]
        facts = [f'"rows": min([{", ".join(dict.fromkeys(rows))}])']
        if groups:
            facts.append(f'"smallest_group": {_FOLD["smallest_group"].format(", ".join(f"{g}.min()" for g in groups))}')
            facts.append(f'"trivial": any(each.size < 2 for each in [{", ".join(groups)}])')
        yield self._cell(f"{{{', '.join(facts)}}}")
        ranking = root.child(*_RANKED)
        if ranking is not None:
            ranked, base = (self.render(each, "df") for each in (ranking, ranking.child(Sort.TIMELINE) or ranking))
            # Where a period has no value, the one before another is not the one the question means.
            broken = f" or bool({base}.isna().any())" if ranking.operator.gives is Sort.TIMELINE else ""
            yield self._cell(f'{{"trivial": {ranked}.nunique() < 2{broken}}}')

    def _cell(self, submitted: str) -> str:
        code = "\n".join([*self.lines, f"submit({submitted})"]) + "\n"
        self.lines = []
        return code

    def _statement(self, node: Node, frame: str) -> str:
        operator = node.operator
        base = self.render(node.inputs[0], frame) if node.inputs and operator.takes[0] is Sort.TABLE else ""
        if base:
            frame = base if operator.gives is Sort.TABLE else self._complete(base, node)
        inputs = tuple(
            base if sort is Sort.TABLE else "" if sort is Sort.STATISTIC else self.render(each, frame)
            for sort, each in zip(operator.takes, node.inputs, strict=True)
        )
        inputs = self._named_where_repeated(operator.code, inputs)
        named = self._bindings(node, frame)
        named |= self._applied(node, inputs)
        *before, last = operator.code.split("\n")
        for line in before:
            stem, _, template = line.partition(" = ")
            named[stem] = self._assign(stem, _fill(template, inputs, named))
        code = _fill(last, inputs, named)
        out = self._assign(operator.variable, code) if operator.variable else code
        self._facts.append((operator.facts, named | {"out": out}, inputs))
        return out

    def _bindings(self, node: Node, frame: str) -> dict[str, str]:
        named = {"t": frame}
        for name, value in node.params:
            named[name] = repr(list(value)) if isinstance(value, tuple) else repr(value)
            if name == "col_date":
                named["date"] = date_code(self._scene.column(str(value)), frame)
        return named

    def _applied(self, node: Node, inputs: tuple[str, ...]) -> dict[str, str]:
        """`s`, and where the operator compares with the whole table `a`: its statistic, applied."""
        statistic = node.child(Sort.STATISTIC)
        if statistic is None:
            return {}
        measure = node.child(Sort.MEASURE)
        assert measure is not None  # every operator that takes a statistic takes what it is applied to
        key = node.child(Sort.KEY, Sort.HALVES, Sort.DATE)
        at = node.inputs.index(measure)
        named = {}
        alone = node.operator.code == "{s}"
        values = inputs[at]
        by = inputs[node.inputs.index(key)] if key else ""
        named["s"] = self._apply(statistic, values, by, alone=alone)
        if "{a}" in node.operator.code:
            whole = self._complete("df", node)
            named["a"] = self._apply(statistic, self.render(measure, whole), "", alone=False)
        return named

    def _apply(self, statistic: Node, values: str, by: str, *, alone: bool) -> str:
        named = self._bindings(statistic, "")
        native = "native" in statistic.operator.tags
        code = statistic.operator.code
        if by and not native:
            applied = f"{values}.groupby({by}).agg(lambda values: {_fill(code, (), named | {'x': 'values'})})"
        else:
            target = f"{values}.groupby({by})" if by else values
            if code.count("{x}") > 1 and not target.isidentifier():
                target = self._assign("groups" if by else "values", target)
            applied = _fill(code, (), named | {"x": target})
        return applied if alone else self._assign(statistic.operator.variable, applied)

    def _complete(self, base: str, node: Node) -> str:
        """The table without the rows where a column the node needs is missing; the table itself where none can be."""
        needed: list[str] = []
        for each in (node, *(each for each in node.inputs if each.operator.gives is not Sort.TABLE)):
            needed += [name for name in each.read_columns if self._scene.column(name).missing]
        if not needed:
            return base
        at = (f"complete{sorted(needed)}", base)
        if at not in self._seen:
            self._seen[at] = self._assign("known", f"{base}.dropna(subset={needed!r})")
        return self._seen[at]

    def _named_where_repeated(self, code: str, inputs: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(
            self._assign("values", text)
            if text and not text.isidentifier() and code.count(f"{{{at}}}") >= _REPEATS
            else text
            for at, text in enumerate(inputs)
        )

    def _assign(self, stem: str, code: str) -> str:
        self._names[stem] += 1
        name = stem if self._names[stem] == 1 else f"{stem}_{self._names[stem]}"
        self.lines.append(f"{name} = {code}")
        return name


def _fill(template: str, inputs: tuple[str, ...], named: Mapping[str, str]) -> str:
    """A code template with its places filled by code: `{col!r}` and `{col}` are the same, as both are code already."""
    pieces: list[str] = []
    for text, place, _, _ in Formatter().parse(template):
        pieces.append(text)
        if place is not None:
            pieces.append(inputs[int(place)] if place.isdigit() else named[place])
    return "".join(pieces)


def _label(value: str, shape: Shape) -> str:
    return f"int({value})" if shape.whole_labels else f"str({value})"


def _key(value: str, shape: Shape) -> str:
    return f"str(int({value}))" if shape.whole_labels else f"str({value})"


def _number(value: str, shape: Shape) -> str:
    # Unrounded: rounding at comparison accepts either rounding of a tie.
    return f"float({value})" if shape.decimals else f"int({value})"


_SUBMITTED: dict[Form, Callable[[str, Shape], str]] = {
    Form.NUMBER: _number,
    Form.PERCENT: _number,
    Form.COUNT: lambda value, _: f"int({value})",
    Form.LABEL: _label,
    Form.LABELS: lambda value, shape: f"[{_label('each', shape)} for each in {value}]",
    Form.COLUMN_PAIR: lambda value, _: value,
    Form.MAPPING: lambda value, shape: (
        f"{{{_key('group', shape)}: {_number('value', shape)} for group, value in {value}.items()}}"
    ),
    Form.FLAG: lambda value, _: f"bool({value})",
}
