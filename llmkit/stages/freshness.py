"""Is there anything to do? What a stage would write, compared with what stands in its place.

An artifact is fresh when it was made by this version of llmkit, from the same settings, seed, parents (by the hash
of their manifests) and input files (by content).
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from llmkit.config.schema import Section, to_data
from llmkit.errors import InputError, LaterVersion, NoKey
from llmkit.plain import Json
from llmkit.store import artifacts, encryption, manifests
from llmkit.store.manifests import Identity, Source
from llmkit.tasks.experiment import Experiment
from llmkit.version import __version__


@dataclass(frozen=True)
class Wanted:
    """What a stage is about to make, but for its files."""

    stage: str
    settings: Json
    seed: int
    parents: dict[str, str] = field(default_factory=dict)
    inputs: list[Source] = field(default_factory=list)

    @property
    def identity(self) -> Identity:
        """What a manifest says of it, as `artifacts.Folder.finish` takes it."""
        return {
            "stage": self.stage,
            "settings": self.settings,
            "seed": self.seed,
            "parents": self.parents,
            "inputs": self.inputs,
        }


def reasons(place: Path, wanted: Wanted) -> tuple[artifacts.Artifact | None, list[str]]:
    """(artifact, why it must be made again): no reasons when what stands at `place` is what is wanted."""
    if not place.exists() and not place.with_name(place.name + ".old").exists():
        return None, ["it does not exist yet"]
    try:
        artifact = artifacts.read(place)
    except LaterVersion:
        raise
    except InputError as error:
        return None, [str(error)]
    check_recipients(artifact)
    manifest = artifact.manifest
    found = [f"{line}" for line in manifests.differences(manifest["settings"], wanted.settings)]
    if manifest["stage"] != wanted.stage:
        found.append(f"it was made by {manifest['stage']}")
    if manifest["seed"] != wanted.seed:
        found.append(f"seed: {manifest['seed']} → {wanted.seed}")
    if manifest["llmkit_version"] != __version__:
        found.append(f"llmkit {manifest['llmkit_version']} → {__version__}")
    found += [
        f"its input {name} has changed"
        for name in wanted.parents
        if manifest["parents"].get(name) != wanted.parents[name]
    ]
    found += changed_inputs(manifest["inputs"], wanted.inputs)
    return artifact, found


def check_recipients(artifact: artifacts.Artifact) -> None:
    """Raise InputError where an artifact is for others than its place is by now, or plain where that is not."""
    wanted, found = encryption.recipients_of(artifact.path), artifact.manifest.get("encryption", [])
    if set(wanted) == set(found):
        return
    if not wanted:
        raise InputError(
            f"{artifact.path} is encrypted, and the config names no encryption.recipients: what is made of it would be "
            "plain; name them, or another run_dir"
        )
    state = "is encrypted to others than the config names" if found else "is not encrypted, as the config wants it"
    raise InputError(f"{artifact.path} {state}; run: llmkit encrypt CONFIG, which trains nothing again")


def changed_inputs(before: list[Source], now: list[Source]) -> list[str]:
    """A line for each file that came, went or has other bytes."""
    old, new = ({item["path"]: item["sha256"] for item in items} for items in (before, now))
    lines = [f"{path} is new" for path in new if path not in old]
    lines += [f"{path} is gone" for path in old if path not in new]
    lines += [f"{path} has changed" for path in new if path in old and old[path] != new[path]]
    return lines if len(lines) <= 3 else [*lines[:3], f"and {len(lines) - 3} more files"]


def of_prepare(settings: Section) -> Json:
    """The keys of the section prepare that decide what is prepared: not how many processes do it, nor the licence."""
    return {key: value for key, value in to_data(settings).items() if key not in ("workers", "licence")}


def read_prepared(experiment: Experiment) -> artifacts.Artifact:
    """The prepared folder, verified and fresh. Raises InputError naming the command to run when it is not.

    Where the raw files are no longer there (a prepared folder copied to another machine) they are not compared.
    """
    command = experiment.command("prepare")
    place = experiment.run_dir / "prepared"
    prepared = artifacts.read(place, made_by=command, stage="prepare")
    check_recipients(prepared)
    if prepared.manifest["task"] != experiment.task.name:
        raise InputError(
            f"{place} was prepared for task {prepared.manifest['task']}, not {experiment.task.name}; run: {command}"
        )
    changed = manifests.differences(prepared.manifest["settings"], {"prepare": of_prepare(experiment.settings.prepare)})
    try:
        now = experiment.task.prepare.inputs(experiment.settings.prepare)
    except InputError:
        now = prepared.manifest["inputs"]
    changed += changed_inputs(prepared.manifest["inputs"], now)
    if changed:
        raise InputError(f"{place} is stale:\n  " + "\n  ".join(changed) + f"\nrun: {command}")
    return prepared


def stored(artifact: artifacts.Artifact, work: Path) -> Json:
    """The result of a finished stage: what its manifest holds and, where they are still there, its timings."""
    timings: Json = {}
    place = _timings(work, artifact.path)
    if place.exists():
        with suppress(NoKey):  # "up to date" is said without a key, and tells no figures then
            found = artifacts.read_json(place)
            timings = found["timings"] if found.get("manifest") == artifact.hash else {}
    return artifact.manifest["result"] | timings


def store_timings(artifact: artifacts.Artifact, work: Path, timings: Mapping[str, object]) -> None:
    """Keep the figures that a clock gave beside the artifact: within, the same inputs would not give the same bytes."""
    place = _timings(work, artifact.path)
    artifacts.make_folder(place.parent)
    artifacts.write_json(place, {"manifest": artifact.hash, "timings": timings})


def _timings(work: Path, folder: Path) -> Path:
    return work / "timings" / f"{folder.parent.name}-{folder.name}.json"
