"""An experiment from its inputs to its outputs: opened and checked, asked, written."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock

from blocks.errors import UserError
from blocks.held import FileLock, when_free
from blocks.newer import newer_words
from blocks.plurals import are, several
from flows.matrix.asking import Asker
from flows.matrix.composing import Composer
from flows.matrix.drafting import Drafter, SeatOf
from flows.matrix.lanes import Lanes
from flows.matrix.options import ExperimentOptions
from flows.matrix.outputs import Output, named_output
from flows.matrix.page import page
from flows.matrix.records import Result
from flows.matrix.refreshing import kept_fresh
from flows.matrix.report import Comparison, ExperimentReport
from flows.matrix.sampling import COLUMNS
from flows.matrix.sheet import Row, Sheet
from flows.matrix.side_by_side import SideBySide
from flows.matrix.store import RowStore, set_aside
from flows.matrix.tables import Columns, write_table, write_text
from flows.runs import logs

Ended = Callable[[Result | None], Awaitable[None]]
INPUTS = "Give -p PROMPT.txt -e EXPERIMENTS.csv, or `--init FOLDER` for samples of both."


@dataclass(frozen=True)
class Inputs:
    """What a user names.

    Attributes:
        experiments: CSV with provider, model and variables.
        prompt: The prompt's file.
        output: Where results go.
        context: Context files.
    """

    experiments: str | None
    prompt: str | None
    output: str | None = None
    context: Sequence[str] = ()


@dataclass
class Experiment:
    """An experiment, its inputs read and checked."""

    sheet: Sheet
    composer: Composer
    output: Output
    options: ExperimentOptions
    store: RowStore | None
    """None where nothing is to be asked."""
    notes: list[str] = field(default_factory=list)
    """What the user should know before it begins."""
    earlier: int = 0
    logs: Path = Path("logs")
    """Where the logs of runs are."""
    _writing: Lock = field(default_factory=Lock)
    """Held while outputs are written: a run that ends waits for a writing that it has begun."""

    @property
    def rows(self) -> RowStore:
        """The file of rows."""
        assert self.store is not None
        return self.store

    def drafter(self, seat_of: SeatOf) -> Drafter:
        """What makes its rows ready."""
        return Drafter(self.composer, self.output, self.options, seat_of)

    async def run(self, name: str, seat_of: SeatOf, ended: Ended, warn: Callable[[str], None]) -> ExperimentReport:
        """Ask the rows; the tables keep up with them, and all outputs are written at the end whatever it is.

        Args:
            name: The run's.
            seat_of: As for `ask`.
            ended: As for `ask`.
            warn: As for `ask`.

        Raises:
            JournalError: The journal cannot be used.
            UserError: A result could not be kept, or an output not be written.
        """
        # What has been printed cannot be made anew.
        fresh = nullcontext() if self.output.stdout else kept_fresh(self._refresh, self._more_than_before, warn)
        try:
            async with fresh:
                await self.ask(seat_of, ended, warn, run=name)
        except BaseException:
            self.write(name)
            raise
        return await asyncio.to_thread(self.write, name)

    async def ask(self, seat_of: SeatOf, ended: Ended, warn: Callable[[str], None], *, run: str) -> None:
        """Ask every row that has no answer yet.

        Args:
            seat_of: Finds models.
            ended: Given each row's result as it ends; None: an earlier run had finished it.
            warn: Given what people may want to know at once.
            run: The run's name.

        Raises:
            JournalError: The journal cannot be used.
            UserError: A result could not be kept.
        """

        async def told(result: Result | None) -> None:
            self.earlier += result is None
            await ended(result)

        def unforeseen(error: Exception) -> str:
            return logs.told(error, self.logs / run, logs.log_name(self.sheet.name))

        asker = Asker(self.drafter(seat_of), self.options, self.rows, told, warn, unforeseen)
        try:
            await Lanes(self.sheet, self.options, asker.ask).run()
        finally:
            await self.rows.settle()

    def write(self, run: str) -> ExperimentReport:
        """Write the outputs from what has been kept so far; what it came to.

        Args:
            run: The run's name.
        """
        with self._writing:
            report, sides = self._written(run)
            return self._with_page(report, sides) if self.options.report else report

    def _refresh(self) -> None:
        """The tables alone: a page is drawn, and costs more."""
        with self._writing:
            self._written("")

    def _more_than_before(self) -> int:
        """How many rows have a result; 0 as long as the table of an earlier run may have more."""
        ended = len(self.rows.order)
        return ended if ended >= min(self.rows.found, self.sheet.count) else 0

    def _written(self, run: str) -> tuple[ExperimentReport, SideBySide]:
        ended = self.rows.ended(finished_order=self.options.order == "finished")
        columns = Columns.of(self.sheet.variables, self._results(ended), flatten=self.options.flatten)
        comparison, sides = Comparison(), SideBySide(self.options.side_by_side)
        places: dict[Path | None, array[int]] = {}
        for result in self._results(ended):
            comparison.add(result)
            sides.add(result)
            place = self.output.place_of({**result.variables, "provider": result.provider, "model": result.model})
            places.setdefault(place, array("Q")).append(result.row)
        for place, numbers in places.items():
            write_table(place, columns, self._results(numbers))
        return comparison.report(
            run,
            rows=self.sheet.count,
            earlier=self.earlier,
            left_out=self.rows.left_out,
            outputs=[str(place.absolute()) for place in places if place is not None],
            rows_file=str(self.output.rows_file.absolute()),
        ), sides

    def _with_page(self, report: ExperimentReport, sides: SideBySide) -> ExperimentReport:
        text = page(
            report,
            sides.sides(),
            title=f"{Path(self.sheet.name).stem}: {report.sentence()}",
            prompt=self.composer.shown,
            more=sides.left_out,
        )
        write_text(self.output.page, text)
        return report.model_copy(update={"page": str(self.output.page.absolute())})

    def _results(self, numbers: Iterable[int]) -> Iterator[Result]:
        return map(self.rows.result, numbers)


@asynccontextmanager
async def open_experiment(
    inputs: Inputs, options: ExperimentOptions, home: Path, warn: Callable[[str], None]
) -> AsyncIterator[Experiment]:
    """Read and check what the user named; nothing is asked yet.

    Args:
        inputs: What it is.
        options: How it is run.
        home: TRIGPOINT_HOME.
        warn: Told where another run writes the same rows, which is waited for.

    Raises:
        UserError: Something is missing, cannot be read, or would overwrite what is not this experiment's.
    """
    async with AsyncExitStack() as stack:
        work = stack.enter_context(_checked(inputs, options, home))
        if not options.validate_only:
            opened, rows_file = partial(_opened, work), work.output.rows_file
            work.store = await stack.enter_async_context(when_free(opened, rows_file, warn))
            work.store.prepare(work.sheet.count)
            if work.store.left_out:
                count, words = work.store.left_out, newer_words(work.store.newest)
                work.notes.append(
                    f"{rows_file}: {several(count, 'row')} of it {are(count)} left unchanged: each {words}."
                )
            if work.store.found or work.store.failed_before:
                count = work.store.found
                work.notes.append(f"{several(count, 'answer')} {are(count)} there from earlier runs: {rows_file}.")
        yield work


def _opened(work: Experiment) -> RowStore:
    """The file of rows; what is set aside before is not in use by another run.

    Raises:
        Busy: Another run writes it.
        UserError: It cannot be written, or it or a table is something else.
    """
    rows_file, guard = work.output.rows_file, ExitStack()
    with guard:
        if rows_file.is_file():
            with suppress(OSError):  # What cannot be locked is told when it is opened.
                guard.enter_context(FileLock(rows_file))
        work.notes += _made_room(work.sheet, work.output, work.options)
    return RowStore(rows_file)


@contextmanager
def _checked(inputs: Inputs, options: ExperimentOptions, home: Path) -> Iterator[Experiment]:
    """The experiment without its file of rows.

    Raises:
        UserError: As `open_experiment`.
    """
    options.check()
    if not inputs.experiments or not inputs.prompt:
        raise UserError(f"{'No experiments are' if inputs.prompt else 'No prompt is'} named.", INPUTS)
    if inputs.experiments == inputs.prompt == "-":
        raise UserError("Prompt and experiments cannot both be standard input.", "Give one of them as a file.")
    with ExitStack() as stack:
        composer = Composer(inputs.prompt, inputs.context)
        sheet = stack.enter_context(Sheet(inputs.experiments, partial(_call, composer, options)))
        parts = [str(Path(each).absolute()) for each in (inputs.experiments, inputs.prompt, *inputs.context)]
        parts += [sheet.digest] if "-" in (inputs.experiments, inputs.output) else []
        output = named_output(inputs.output, inputs.experiments, parts, home)
        work = Experiment(sheet, composer, output, options, None, logs=home / "logs")
        work.notes += _variables(sheet, composer, output, options)
        yield work


def _call(composer: Composer, options: ExperimentOptions, row: Row) -> str:
    """What of a row reaches its model; of a row that cannot be sent, all of it."""
    parameters = [row.variables.get(name, "").strip() for name in COLUMNS if name not in options.plain]
    try:
        return "\x00".join([*parameters, composer.compose(row.values).text])
    except UserError:
        return "\x00".join(row.values.values())


def _variables(sheet: Sheet, composer: Composer, output: Output, options: ExperimentOptions) -> list[str]:
    """What is to be said of variables that no column has.

    Raises:
        UserError: A path holds one, or the user wants it strict.
    """
    known = {*sheet.variables, "provider", "model"}
    lost = [name for name in (*composer.path_names, *output.template.names) if name not in known]
    if lost:
        raise UserError(
            f"A path holds {{{{{lost[0]}}}}}, and {sheet.name} has no column {lost[0]}.",
            f"It has {', '.join(sorted(known))}.",
        )
    clash = sorted(composer.slots & known)
    if clash:
        raise UserError(f"{clash[0]} is both a context file and a column of {sheet.name}.", "Rename one of them.")
    missing = () if composer.path_names else composer.compose(dict.fromkeys(known, "x")).missing
    if not missing:
        return []
    told = f"The prompt holds {{{{{'}}, {{'.join(missing)}}}}}, and {sheet.name} has no such column"
    if options.strict:
        raise UserError(f"{told}.", "Add the column, or leave out --strict.")
    return [f"{told}: left as it is."]


def _made_room(sheet: Sheet, output: Output, options: ExperimentOptions) -> list[str]:
    """With --fresh, set aside what is there; without, refuse to overwrite a table that is not this experiment's.

    Raises:
        UserError: See above.
    """
    tables = output.tables(sheet)
    if options.fresh:
        moved = set_aside([output.rows_file, output.page, *tables])
        return [f"--fresh: {old} is now {new.name}." for old, new in moved]
    foreign = [] if output.rows_file.exists() else [table for table in tables if table.exists()]
    if foreign:
        raise UserError(
            f"{foreign[0]} is there, and no file of rows beside it says that this experiment made it.",
            "Name another output, or say --fresh, which sets it aside.",
        )
    return []
