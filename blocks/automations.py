"""The automations on the server: one ends runs nobody hears of, one pauses a queue whose sandboxes keep failing."""

from __future__ import annotations

from datetime import timedelta

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState, PauseWorkQueue
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

from blocks.flow_runs import TAG, heartbeat_s
from blocks.incidents import EVENT, RESOURCE
from blocks.remains import BEATS_MISSED

NAME = "trigpoint-silent-runs"
BEAT = "prefect.flow-run.heartbeat"
INCIDENTS = "trigpoint-sandbox-incidents"
MOST_INCIDENTS = 5
INCIDENTS_WITHIN = timedelta(minutes=10)


def silent_runs(beat_s: float) -> AutomationCore:
    """A run of a deployment of ours that has begun to beat and then is silent for more than three beats is Crashed.

    Args:
        beat_s: How often a run's heart beats, seconds. One that beats less often than this would be crashed alive.
    """
    # One more than may be missed: the last may be on its way.
    window = timedelta(seconds=(BEATS_MISSED + 1) * beat_s)
    return AutomationCore(
        name=NAME,
        description="Marks flow runs that are not heard of any more as Crashed. Their containers are upkeep's to end.",
        trigger=EventTrigger.model_validate(
            {
                "match": {"prefect.resource.id": "prefect.flow-run.*"},
                "match_related": {"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{TAG}"},
                "for_each": {"prefect.resource.id"},
                "after": {BEAT},
                "expect": {"prefect.flow-run.*"},
                "posture": Posture.Proactive,
                "threshold": 1,
                "within": window,
            }
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                message=f"Not heard of for {window.total_seconds():g} s. What is left of it is removed by upkeep.",
            )
        ],
    )


def sick_queues(threshold: int = MOST_INCIDENTS, within: timedelta = INCIDENTS_WITHIN) -> AutomationCore:
    """A work queue whose runs report so many incidents of sandboxes within so long is paused.

    What it runs goes on, what waits in it stays there until somebody resumes it: a sick host costs no more runs.

    Args:
        threshold: How many incidents.
        within: In which time.
    """
    return AutomationCore(
        name=INCIDENTS,
        description="Pauses a work queue whose runs lose sandbox after sandbox. Resume it once the host is well.",
        trigger=EventTrigger.model_validate(
            {
                "match": {"prefect.resource.id": f"{RESOURCE}.*"},
                # Runs from a shell have no queue that could be paused.
                "match_related": {"prefect.resource.role": "work-queue"},
                "for_each": {"related:work-queue:prefect.resource.id"},
                "expect": {EVENT},
                "posture": Posture.Reactive,
                "threshold": threshold,
                "within": within,
            }
        ),
        actions=[PauseWorkQueue(source="inferred")],
    )


async def put_automations(client: PrefectClient) -> list[str]:
    """Create the automations, or bring them up to date; what was done, in sentences.

    One that was switched off stays so, and how many incidents are too many stays as it was set.
    """
    return [await _put(client, silent_runs(heartbeat_s())), await _put(client, await _as_set(client))]


async def _as_set(client: PrefectClient) -> AutomationCore:
    for found in await client.read_automations_by_name(INCIDENTS):
        if isinstance(found.trigger, EventTrigger):
            return sick_queues(found.trigger.threshold, found.trigger.within)
    return sick_queues()


async def _put(client: PrefectClient, wanted: AutomationCore) -> str:
    found = await client.read_automations_by_name(wanted.name)
    if not found:
        await client.create_automation(wanted)
        return f"automation {wanted.name}: made"
    await client.update_automation(found[0].id, wanted.model_copy(update={"enabled": found[0].enabled}))
    return f"automation {wanted.name}: there already, renewed"
