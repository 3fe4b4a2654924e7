"""`prefect.yaml` and the pools it deploys to: every flow, its parameters, its place, and nothing secret."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any
from uuid import uuid4

import kubernetes_validate
import pytest
import yaml
from prefect import Flow
from prefect.client.schemas.objects import FlowRun
from prefect.flows import load_flow_from_entrypoint
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect_docker.worker import DockerWorker, DockerWorkerJobConfiguration
from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration
from pydantic import TypeAdapter

from blocks.settings import settings
from blocks.work_pools import is_current, job_template, pools, shared_names

ROOT = Path(__file__).resolve().parent.parent
WRITTEN = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
DEPLOYMENTS: list[dict[str, Any]] = WRITTEN["deployments"]
SOCKET = "/var/run/docker.sock:/var/run/docker.sock"


def name_of(deployment: dict[str, Any]) -> str:
    return f"{deployment['entrypoint'].rpartition('.')[2]}/{deployment['name']}"


def flow_of(deployment: dict[str, Any]) -> Flow[..., Any]:
    return load_flow_from_entrypoint(deployment["entrypoint"], use_placeholder_flow=False)


@pytest.fixture(params=DEPLOYMENTS, ids=name_of)
def deployment(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = request.param
    return found


def test_every_flow_has_a_deployment() -> None:
    files = {path.stem for path in (ROOT / "flows").glob("*.py")} - {"__init__"}
    assert {each["entrypoint"].split(".")[1] for each in DEPLOYMENTS} == files
    assert len({name_of(each) for each in DEPLOYMENTS}) == len(DEPLOYMENTS)


def test_its_parameters_are_the_flows_own(deployment: dict[str, Any]) -> None:
    signature = inspect.signature(flow_of(deployment).fn, eval_str=True)
    for name, value in deployment["parameters"].items():
        TypeAdapter(signature.parameters[name].annotation).validate_python(value)


def test_it_names_the_docker_runtime_and_says_what_it_is(deployment: dict[str, Any]) -> None:
    given = deployment["parameters"]
    opens_none = {"flows.upkeep.upkeep", "flows.experiment.experiment", "flows.report.report"}
    assert "runtime': 'docker'" in str(given) or deployment["entrypoint"] in opens_none
    assert deployment["description"].endswith(".")
    assert "trigpoint" in deployment["tags"]
    assert {pool.name for pool in pools()} >= {deployment["work_pool"]["name"]}


def test_its_job_variables_are_the_workers(deployment: dict[str, Any]) -> None:
    variables = deployment["work_pool"]["job_variables"]
    assert set(variables) <= set(job_template()["variables"]["properties"])
    DockerWorkerJobConfiguration.model_validate({**variables, "name": "x"})


def test_the_engines_socket_goes_to_flows_that_open_sandboxes_and_to_no_others(deployment: dict[str, Any]) -> None:
    pool = deployment["work_pool"]
    assert (SOCKET in pool["job_variables"]["volumes"]) == (pool["name"] != "trigpoint-light")


def test_the_night_is_scheduled_and_asleep_and_never_runs_twice_at_once() -> None:
    (night,) = (each for each in DEPLOYMENTS if each["name"] == "nightly")
    assert [schedule["active"] for schedule in night["schedules"]] == [False]
    assert night["concurrency_limit"]["limit"] == 1
    assert night["concurrency_limit"]["collision_strategy"] == "CANCEL_NEW"


def test_a_gpu_is_asked_for_as_the_engine_takes_it() -> None:
    (gpu,) = (each for each in DEPLOYMENTS if each["name"] == "gpu")
    assert gpu["work_pool"]["job_variables"]["container_create_kwargs"] == {
        "device_requests": [{"driver": "nvidia", "count": 1, "capabilities": [["gpu"]]}]
    }


def test_no_secret_is_resolved_when_a_flow_is_deployed() -> None:
    """Prefect would put what such a reference stands for into the deployment as plain text."""
    assert "prefect.blocks" not in (ROOT / "prefect.yaml").read_text(encoding="utf-8")


def test_the_job_template_is_that_of_the_installed_worker() -> None:
    theirs, ours = DockerWorker.get_default_base_job_template(), job_template()
    assert ours["job_configuration"] == theirs["job_configuration"]
    assert ours["variables"]["properties"].keys() == theirs["variables"]["properties"].keys()


def test_the_servers_own_settings_are_kept_out_of_containers() -> None:
    environment = job_template()["variables"]["properties"]["env"]["default"]
    assert environment["PREFECT_SERVER_DATABASE_CONNECTION_URL"] is None
    assert environment["PREFECT_RESULTS_LOCAL_STORAGE_PATH"].startswith(environment["TRIGPOINT_HOME"] + "/")


def test_a_pool_for_each_class_of_gpu_and_for_a_cluster() -> None:
    more = pools(["a100", "t4"], kubernetes=True)[len(pools()) :]
    assert [(pool.name, pool.type) for pool in more] == [
        ("trigpoint-gpu-a100", "docker"),
        ("trigpoint-gpu-t4", "docker"),
        ("trigpoint-kubernetes", "kubernetes"),
    ]


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"gpus": 1, "node_selector": {"gpu": "a100"}, "service_account_name": "flows", "env": {"TRIGPOINT_STORE": "x"}},
        {"image_pull_secrets": [{"name": "registry"}], "finished_job_ttl": None},
    ],
    ids=["as shipped", "gpu", "registry"],
)
async def test_the_kubernetes_worker_makes_a_job_of_the_template_that_a_cluster_takes(values: dict[str, Any]) -> None:
    """Rendered as the worker does before it sends it; the schemas are those of Kubernetes, unknown fields an error."""
    with temporary_settings({PREFECT_API_URL: "http://server:4200/api"}):
        job = await KubernetesWorkerJobConfiguration.from_template_and_values(job_template("kubernetes"), values)
        job.prepare_for_flow_run(FlowRun(id=uuid4(), flow_id=uuid4(), name="a run"))
    for version in ("1.29", kubernetes_validate.latest_version()):
        kubernetes_validate.validate(job.job_manifest, version, strict=True)
    pod = job.job_manifest["spec"]["template"]["spec"]
    (flow,), (engine, image) = pod["containers"], pod["initContainers"]
    environment = {each["name"]: each["value"] for each in flow["env"]}
    assert environment["PREFECT_API_URL"] == "http://server:4200/api"
    assert values.get("env", {}).items() <= environment.items()
    assert engine["restartPolicy"] == "Always", "a sidecar: it is there before the flow and ends after it"
    assert f"--host={environment['DOCKER_HOST']}" in engine["args"]
    socket = Path(environment["TRIGPOINT_ENGINE_SOCKET"])
    assert environment["DOCKER_HOST"] == f"unix://{socket}"
    shared = [{mount["name"] for mount in each["volumeMounts"] if mount["mountPath"] == str(socket.parent)}
              for each in (flow, engine, image)]  # fmt: skip
    assert shared == [{"engine"}] * 3, "all three see the engine's socket"
    assert flow["resources"]["limits"]["nvidia.com/gpu"] == values.get("gpus", 0)
    assert "securityContext" not in flow, "only the engine is privileged"


def test_containers_are_told_of_storage_and_store_by_name_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIGPOINT_STORAGE", "remote-file-system/bucket")
    monkeypatch.setenv("TRIGPOINT_STORE_URL", "block:store")
    settings.cache_clear()
    for pool_type in ("docker", "kubernetes"):
        given = job_template(pool_type, shared_names())["variables"]["properties"]["env"]["default"]
        store, storage = given["TRIGPOINT_STORE_URL"], given["TRIGPOINT_STORAGE"]
        assert (store, storage) == ("block:store", "remote-file-system/bucket")
        assert "TRIGPOINT_STORAGE" not in job_template(pool_type)["variables"]["properties"]["env"]["default"]
    assert is_current(job_template("docker", shared_names()))
    assert not is_current(job_template("docker", {"PREFECT_HOME": "/elsewhere"}))
    monkeypatch.setenv("TRIGPOINT_STORE_URL", "postgresql+psycopg://me:secret@there/store")
    settings.cache_clear()
    assert shared_names() == {"TRIGPOINT_STORAGE": "remote-file-system/bucket"}, "an address has a password in it"
