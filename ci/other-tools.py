"""Reads what the harness writes with the tools that its users have, and compares what they find with what the harness says.

    python3 ci/other-tools.py HARNESS    three runs and a gate in target/other-tools, each document read by another's tool
    python3 ci/other-tools.py --probe    whether the tools are there

The tools: hdrhistogram, junitparser, pandas, html5lib and jsonschema from PyPI, taplo from npm (`@taplo/cli`).
`cargo xtask check` calls this; .ci/run installs what it needs.
"""

import json
import pathlib
import shutil
import subprocess
import sys
import tomllib

import html5lib
import jsonschema
import junitparser
import pandas
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCENARIOS = ROOT / "scenarios"
WORK = ROOT / "target" / "other-tools"
HOUR_NS = 3_600_000_000_000


def same(what, found, said):
    """The other tool has found what the harness says."""
    if found != said:
        sys.exit(f"error: {what}: the tool found {found!r}, and the harness says {said!r}")


def close(what, found, said, within):
    """`within` is a share: of an HDR histogram with three digits, 0.001."""
    if abs(found - said) > abs(said) * within:
        sys.exit(f"error: {what}: the tool found {found}, and the harness says {said}")


def run(harness, scenario, exit_code):
    done = subprocess.run(
        [harness, "run", scenario, "--quiet", "--seed", "7"], cwd=WORK, capture_output=True, text=True
    )
    if done.returncode != exit_code:
        sys.exit(f"error: {scenario}: exit {done.returncode}, not {exit_code}\n{done.stdout}{done.stderr}")
    return (WORK / "runs" / scenario.stem / "latest").resolve()


def runs(harness):
    """One that passes, one whose last criterion cannot hold, and one whose question has markup and foreign text."""
    smoke = (SCENARIOS / "smoke.toml").read_text()
    passing, failing, odd = (WORK / f"{name}.toml" for name in ("passing", "failing", "odd"))
    passing.write_text(smoke.replace('name = "smoke"', 'name = "passing"', 1))
    slow = '\n[[criterion]]\nname = "too-fast"\npass = "coordination.time p50 < 1ns"\n'
    failing.write_text(smoke.replace('name = "smoke"', 'name = "failing"', 1) + slow)
    asks = 'asks = "Is <b>1 < 2</b> & \\"so\\", naïve Ωmega, 試験?"\n#'
    odd.write_text(smoke.replace('name = "smoke"', 'name = "odd"', 1).replace("\nasks", f"\n{asks} asks", 1))
    return [run(harness, passing, 0), run(harness, failing, 10), run(harness, odd, 0)]


def read_latency(directory, summary):
    reader = HistogramLogReader(str(directory / "latency.hlog"), HdrHistogram(1, HOUR_NS, 3))
    found = {}
    while (interval := reader.get_next_interval_histogram()) is not None:
        tag = interval.get_tag()
        if tag in found:
            found[tag].add(interval)
        else:
            found[tag] = interval
    for tag in ("coordination", "task"):
        said = summary["distributions"][tag]
        close(f"{tag}: the maximum in latency.hlog", found[tag].get_max_value(), said["max_ns"], 0.001)
        close(f"{tag}: the mean in latency.hlog", found[tag].get_mean_value() * found[tag].get_total_count(),
              said["sum_ns"], 0.01)
    same("rounds in latency.hlog", found["coordination"].get_total_count(), summary["counts"]["rounds"])
    same("tasks in latency.hlog", found["task"].get_total_count(), summary["counts"]["answered"])
    return found


def read_tables(directory, summary, histograms):
    rounds = pandas.read_csv(directory / "rounds.csv", parse_dates=["scheduled_utc"])
    load = rounds[rounds.phase == "load"]
    same("rounds in rounds.csv", len(load), summary["counts"]["rounds"])
    same("tasks in rounds.csv", int(load.answered.sum()), summary["counts"]["answered"])
    slowest = load.coordination_time_s.max() * 1e9
    close("the slowest round in rounds.csv", slowest, summary["distributions"]["coordination"]["max_ns"], 0.001)
    median = load.coordination_time_s.quantile(0.5, interpolation="lower") * 1e9
    close("the median round in rounds.csv", median, histograms["coordination"].get_value_at_percentile(50), 0.01)
    if not rounds.scheduled_utc.is_monotonic_increasing:
        sys.exit("error: rounds.csv: its times are not in order")
    samples = pandas.read_csv(directory / "samples.csv", parse_dates=["time_utc"])
    for column in ("rss_kib", "fds", "threads", "cpu_total_us", "agents_live"):
        if not pandas.api.types.is_integer_dtype(samples[column]):
            sys.exit(f"error: samples.csv: `{column}` must hold whole numbers, not {samples[column].dtype}")
    fleet = samples[samples.role != "harness"]
    same("processes in samples.csv", fleet.name.nunique(), summary["plan"]["processes"])
    workers = pandas.read_csv(directory / "workers.csv")
    same("tasks in workers.csv", int(workers.answered.sum()), summary["counts"]["answered"])
    # The histogram keeps three digits, of which the last may be off by one, and the file microseconds.
    slowest, task = workers.max_s.max() * 1e9, summary["distributions"]["task"]
    close("the slowest task in workers.csv", slowest, task["max_ns"], 0.002)
    close("the time of all tasks in workers.csv", (workers.mean_s * workers.answered).sum() * 1e9, task["sum_ns"], 0.01)
    same("the fewest live agents in samples.csv", int(samples.agents_live.min()), summary["sweeps"]["live_min"])


def read_junit(path, verdict):
    suites = junitparser.JUnitXml.fromfile(str(path))
    cases = [case for suite in suites for case in suite]
    judged = verdict["criteria"] + verdict["evidence"]
    same(f"{path}: test cases", len(cases), len(judged))
    failed = sorted(case.name for case in cases if any(isinstance(one, junitparser.Failure) for one in case.result))
    same(f"{path}: failures", failed, sorted(one["name"] for one in judged if one["verdict"] == "FAIL"))
    same(f"{path}: the count of failures", suites.failures, len(failed))


def read_html(path, *texts):
    """As the standard says, without an error: what a browser mends, a reader of the file need not."""
    parser = html5lib.HTMLParser(strict=True)
    document = parser.parse(path.read_text(encoding="utf-8"))
    shown = "".join(document.itertext())
    for text in texts:
        if text not in shown:
            sys.exit(f"error: {path}: html5lib does not find `{text}` in its text")


def as_json(file):
    """JSON has no dates: an editor takes those of TOML for text."""
    return json.loads(json.dumps(tomllib.loads(file.read_text()), default=lambda date: date.isoformat()))


def check_schemas():
    """Every scenario and plan of the project against its schema, by the Python implementation and by what editors use."""
    counts = {}
    for schema, plans in (("scenario", False), ("phases", True)):
        rules = json.loads((SCENARIOS / f"{schema}.schema.json").read_text())
        kind = jsonschema.validators.validator_for(rules)
        kind.check_schema(rules)
        validator = kind(rules)
        files = [file for file in sorted(SCENARIOS.rglob("*.toml")) if ("[[gate]]" in file.read_text()) == plans]
        for file in files:
            for error in validator.iter_errors(as_json(file)):
                sys.exit(f"error: {file}: jsonschema refuses it: {error.message} at {error.json_path}")
        counts[schema] = len(files)
        broken = dict(as_json(files[0]), schema=0)
        if validator.is_valid(broken):
            sys.exit(f"error: {schema}.schema.json takes a file of schema 0")
    return counts


def lint(file):
    done = subprocess.run(["taplo", "lint", file], cwd=ROOT, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def check_editor():
    """taplo finds the schema by the first line of the file, as it does in an editor."""
    code, said = lint(SCENARIOS / "smoke.toml")
    same(f"smoke.toml in taplo\n{said}", code, 0)
    wrong = WORK / "wrong.toml"
    shutil.copy(SCENARIOS / "scenario.schema.json", WORK)
    wrong.write_text((SCENARIOS / "smoke.toml").read_text().replace("\nasks", "\naks", 1))
    code, said = lint(wrong)
    if code == 0 or "'aks' was unexpected" not in said:
        sys.exit(f"error: taplo does not find `aks` in {wrong}: exit {code}\n{said}")


def main():
    if sys.argv[1:] == ["--probe"]:
        sys.exit(0 if shutil.which("taplo") else "there is no taplo")
    [harness] = sys.argv[1:]
    harness = pathlib.Path(harness).resolve()
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    for directory in runs(harness):
        summary, verdict = (json.loads((directory / f"{name}.json").read_text()) for name in ("summary", "verdict"))
        read_tables(directory, summary, read_latency(directory, summary))
        read_junit(directory / "junit.xml", verdict)
        read_html(directory / "report.html", verdict["verdict"], verdict["asks"], verdict["run_id"])
    plan = SCENARIOS / "phases-demo.toml"
    done = subprocess.run([harness, "gate", "demo-go", "--phases", plan], cwd=WORK, capture_output=True, text=True)
    same(f"the exit code of a gate without runs\n{done.stderr}", done.returncode, 12)
    gate = WORK / "gates" / "demo-go"
    [page], [cases], tables = gate.glob("*.html"), gate.glob("*.xml"), sorted(gate.glob("*.csv"))
    read_html(page, "INCONCLUSIVE")
    same(f"{cases}: failures", junitparser.JUnitXml.fromfile(str(cases)).failures, 0)
    for table in tables:
        pandas.read_csv(table)
    counts = check_schemas()
    check_editor()
    print(f"other tools read 3 runs, a gate, {counts['scenario']} scenarios and {counts['phases']} plans")


if __name__ == "__main__":
    main()
