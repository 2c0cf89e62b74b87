"""The hooks and fixtures, which pytest loads at each start. All else is imported once a test needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping
    from pathlib import Path

    from voicectl.pytest_plugin.calls import VoiceSandbox
    from voicectl.pytest_plugin.platform import VoicePlatform
    from voicectl.pytest_plugin.scenario_files import ScenarioFile

SUFFIX = ".call.toml"
_SANDBOX = pytest.StashKey["VoiceSandbox"]()


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ScenarioFile | None:
    """Collect scenario files."""
    if not file_path.name.endswith(SUFFIX):
        return None
    from voicectl.pytest_plugin.scenario_files import ScenarioFile  # noqa: PLC0415 (only for these files)

    return ScenarioFile.from_parent(parent, path=file_path)


@pytest.fixture(scope="session")
def voice_settings() -> Mapping[str, Any]:
    """Override this to set what the tables "app" and "defaults" of a scenario file set."""
    return {}


@pytest.fixture(scope="session")
def voice_platform(voice_settings: Mapping[str, Any], pytestconfig: pytest.Config) -> Iterator[VoicePlatform]:
    """A sandbox that stands in for the Voice API. Start your application with its "environ", and register it."""
    from voicectl.pytest_plugin.platform import platform  # noqa: PLC0415 (only for these tests)

    with platform(voice_settings, pytestconfig) as found:
        yield found


@pytest.fixture
def voice_sandbox(voice_platform: VoicePlatform, request: pytest.FixtureRequest) -> Iterator[VoiceSandbox]:
    """Calls to your application, on a sandbox that has forgotten those of other tests."""
    sandbox = voice_platform.sandbox(request.node.name)
    request.node.stash[_SANDBOX] = sandbox
    yield sandbox
    sandbox.end()


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Fail a test in which the application made a mistake that the test did not look for."""
    result = yield
    if (sandbox := pyfuncitem.stash.get(_SANDBOX, None)) is not None:
        sandbox.check()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the calls of a failed test."""
    report = yield
    if call.when == "call" and report.failed and (sandbox := item.stash.get(_SANDBOX, None)) is not None:
        report.sections.append(("Calls on the sandbox", sandbox.shown()))
    return report
