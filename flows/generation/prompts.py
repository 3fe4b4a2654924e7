"""Every word a model is told while it makes questions: exploring, proposing, rewording. Versioned and hashed.

Any change of a text here changes what is sent, so `PROMPT_VERSION` goes up with it; a test holds the two together.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from blocks.chat.models import Message, Tool
from flows.questions.records import Difficulty
from flows.tables.dataset import Dataset
from flows.tables.profiling import DatasetProfile
from flows.verification import feedback
from flows.verification import prompts as solving
from flows.verification.attempts import PromptId, TraceConfig

PROMPT_VERSION = "2"
TOOL_NAME = "propose_questions"

EXPLORE_SYSTEM = """\
You write questions that test how well someone analyses a table with Python. You first look at the table by running \
code, then you propose questions, each with the program that answers it.

The table is already loaded as the pandas DataFrame `df`. Already imported: pd, np, scipy, stats (scipy.stats), sm and \
smf (statsmodels), sklearn. There is no network and no other file.

How to work:
- To look: say briefly what you want to find out, then {act}. I run it and send back what it printed. Variables stay \
defined. Look at the columns, missing values, groups, relations and oddities before you propose anything.
- To propose: {propose} I run every program in a fresh session and tell you which questions were accepted, and why the \
others were not; then you mend or replace those.

A good question
- has exactly one right answer, which only a computation on the table can give; nobody could guess it;
- says in its own words everything that decides the answer: which rows count, what happens to missing values where it \
matters, which statistic (sample or population standard deviation; Pearson or Spearman correlation; which test, at \
which level; which rule makes an outlier), how a numeric answer is rounded ("rounded to 2 decimals") and in which \
unit, and for a list in which order;
- sounds like a person who wants to know something{naming}, and never speaks of code;
- does not depend on the order of the rows, and has no tie for a first place;
- differs from the others in what is computed, not only in the column or value it is about.

Its hint tells a colleague the method in one or two sentences, never the answer. Its program is complete pandas code \
on `df` as loaded, ends in submit(answer), and has no randomness.
Steps: how many operations the solution takes. Difficulty: easy 1-2 steps, medium 3-4, hard 5-7 with a choice of \
method, very_hard 8 and more or several methods combined."""

PROPOSE_BLOCK = "reply with exactly one ```json block of this form and nothing to run:\n{example}\n "
PROPOSE_TOOL = "call the tool propose_questions. The code of `program` is one text."
EXAMPLE = """\
```json
{"questions": [{"question": "Among the trees taller than 20 metres, what is the median trunk diameter in centimetres, \
rounded to 1 decimal?", "hint": "Keep the rows with a height above 20, then take the median of the diameters.", \
"program": "tall = df[df['height_m'] > 20]\\nsubmit(round(float(tall['dbh_cm'].median()), 1))", \
"answer": {"type": "float", "decimals": 1, "unit": "cm"}, "difficulty": "easy", "steps": 2, "tags": ["filter"]}]}
```"""
ANSWER_FORMS = """\
The answer's type is one of: bool, int, float, percent (12.5 means 12.5 %), date, string, list (order counts), set \
(order does not count), mapping, table. `items` is the type of the elements of a list or set, of the values of a \
mapping; `columns` names the columns of a table. `decimals` and `unit` are null where they make no sense. Where the \
values of a mapping or the columns of a table differ in form, `by_key` says so: {"mean": {"type": "float", \
"decimals": 2}, "n": {"type": "int"}}."""
NAMING = {
    "plain": " and uses plain words, not the spelling of column names such as total_amount_usd",
    "never": " and uses plain words for what the columns hold, never their names",
    "any": "",
}
EXPLORE_TASK = "Write {count} questions about this table{levels}. Begin by looking at it."
FOCUS = "\n\nOthers write about this table too. Turn your attention to {focus}."
FOCI = (
    "",
    "differences between groups, and what explains them",
    "relations between several measures, and how they change within groups",
    "unusual values, missing values and how far results depend on them",
    "distributions, shares and rankings",
    "conditions combined: several filters, derived quantities, thresholds found from the data",
)
LEVELS = ": {levels}"

LOOK_FIRST = "Not yet: run code that looks at the table at least {runs} more before you propose questions."
VERDICTS = "{accepted} of {count} questions accepted so far."
ACCEPTED = "{number}. accepted"
REFUSED = "{number}. not accepted: {reason}"
GO_ON = "Propose {left} more{levels}: mend those that were not accepted where you can, or replace them."
BAD_PROPOSALS = "Your proposals could not be read: {reason}. {form}"
CUT_OFF = "Your reply reached the length limit; what came after question {number} is lost. Propose fewer at once."
NO_ACTION = (
    "Nothing was done: your reply held neither code nor proposals. To look, reply with {act}. To propose, {form}"
)
BOTH = "The code in this reply was not run: a reply either looks or proposes."
FORM_BLOCK = "reply with one ```json block that holds an object with a list `questions`."
FORM_TOOL = "call propose_questions with a list `questions`."
LAST = "\n\n[This is your last reply: propose the questions now.]"
LEFT = "\n\n[{left} replies left]"
TOOL_TEXT = "Propose questions about the table, each with hint, program, answer format, difficulty and steps."

REWORD_SYSTEM = """\
You put questions about a table into the words of a person who wants to know something. You are given a question as a \
machine wrote it. Say the same thing naturally: whoever reads only your words must compute exactly the same answer.

Keep everything that decides the answer: every number, every value in quotation marks that stands in the table, every \
condition, statistic and convention, what happens to ties and missing values, how the answer is rounded, in which unit \
and in which form it is given. Add nothing. Do not speak of code. {naming}"""
REWORD_NAMING = {
    "plain": "Say in plain words what a column holds where its name is no plain word, so that nobody can mistake it.",
    "never": "Say in plain words what the columns hold; never write their names.",
    "any": "Column names may stay as they are.",
}
REWORD_TASK = """\
The question: {question}

Write {count} different wordings. Reply with exactly one ```json block: {{"wordings": ["...", "..."]}}"""


def prompt_id(kind: str, config: TraceConfig) -> PromptId:
    """Which texts a model is told; the hash covers those of this module, of the feedback and of attempts.

    Args:
        kind: "explore" or "reword".
        config: How the model acts.
    """
    modules = {"feedback": vars(feedback), "attempts": vars(solving), "generation": globals()}
    texts = {
        f"{module}.{name}": value
        for module, names in modules.items()
        for name, value in names.items()
        if name.isupper() and isinstance(value, str | dict | tuple)
    }
    digest = hashlib.sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest()
    return PromptId(style=f"{kind}-{config.act}", version=PROMPT_VERSION, sha256=digest)


def explore_system(dataset: Dataset, profile: DatasetProfile, config: TraceConfig, naming: str) -> str:
    """The system message of an exploration: the rules, and the table."""
    by_tool = config.act == "tool"
    propose = PROPOSE_TOOL if by_tool else PROPOSE_BLOCK.format(example=EXAMPLE)
    rules = EXPLORE_SYSTEM.format(act=solving.act_words(config), propose=propose, naming=NAMING[naming])
    return f"{rules}\n\n{ANSWER_FORMS}\n\n{solving.table_words(dataset, profile, config)}"


def explore_task(wanted: Mapping[Difficulty, int], index: int) -> str:
    """The first user message of an exploration.

    Args:
        wanted: How many of each difficulty.
        index: The exploration's number: each has another focus, the first none.
    """
    text = EXPLORE_TASK.format(count=sum(wanted.values()), levels=level_words(wanted))
    if focus := FOCI[index % len(FOCI)]:
        text += FOCUS.format(focus=focus)
    return text


def level_words(wanted: Mapping[Difficulty, int]) -> str:
    """How many of each difficulty, as it stands in a sentence."""
    parts = [f"{count} {level}" for level, count in wanted.items() if count]
    return LEVELS.format(levels=", ".join(parts)) if parts else ""


def form_words(config: TraceConfig) -> str:
    """How questions are proposed."""
    return FORM_TOOL if config.act == "tool" else FORM_BLOCK


def explore_tools(config: TraceConfig) -> tuple[Tool, ...]:
    """The tools of an exploration: run_python and propose_questions, where the model is asked to act by calls."""
    run = solving.tools(config)
    return (*run, Tool(name=TOOL_NAME, description=TOOL_TEXT, parameters=_PARAMETERS)) if run else ()


def reword_messages(question: str, count: int, naming: str) -> tuple[Message, ...]:
    """The call that asks for wordings of a question."""
    return (
        Message(role="system", content=REWORD_SYSTEM.format(naming=REWORD_NAMING[naming])),
        Message(role="user", content=REWORD_TASK.format(question=question, count=count)),
    )


_TYPES = ["bool", "int", "float", "percent", "date", "string", "list", "set", "mapping", "table"]
_ANSWER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "type": {"type": "string", "enum": _TYPES},
        "decimals": {"type": ["integer", "null"]},
        "unit": {"type": ["string", "null"]},
        "items": {"type": ["string", "null"], "enum": [*_TYPES, None]},
        "columns": {"type": "array", "items": {"type": "string"}},
        "by_key": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "properties": {
                    "type": {"type": "string", "enum": _TYPES},
                    "decimals": {"type": ["integer", "null"]},
                    "unit": {"type": ["string", "null"]},
                },
                "required": ["type"],
            },
        },
    },
    "required": ["type"],
}
_QUESTION: dict[str, Any] = {
    "type": "object",
    "properties": {
        "question": {"type": "string"},
        "hint": {"type": "string"},
        "program": {"type": "string"},
        "answer": _ANSWER,
        "difficulty": {"type": "string", "enum": ["easy", "medium", "hard", "very_hard"]},
        "steps": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["question", "hint", "program", "answer", "difficulty", "steps"],
}
_PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {"questions": {"type": "array", "items": _QUESTION}},
    "required": ["questions"],
}
