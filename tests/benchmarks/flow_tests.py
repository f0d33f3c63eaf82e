"""How long a thousand tests of flows take: `python tests/benchmarks/flow_tests.py [TESTS]`.

Two hundred flows with five tests each, of all that flows are made of: conditions, windows, timers, a server with mocks.
The whole command is timed, from its start to the exit of its process: finding, reading, compiling and running.
"""

import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

FLOWS = (
    """\
subscribe: sensors/+room/{n}
steps:
  - decode: utf-8
  - json
  - filter: payload.temperature > {limit}
  - set: {{level: '${{"hot" if payload.temperature > 30 else "warm"}}'}}
  - publish: alerts/${{room}}
tests:
""",
    """\
subscribe: meters/+id/{n}
steps:
  - json
  - window: {{every: 1m, by: id}}
  - map: {{mean: "${{mean(p.temperature for p in payload)}}", count: "${{len(payload)}}"}}
  - switch:
      - when: payload.mean > {limit}
        steps: [{{publish: "high/${{id}}"}}]
      - else: [{{publish: "low/${{id}}"}}]
tests:
""",
    """\
subscribe: doors/+door/{n}
steps:
  - json
  - changed: {{value: payload.temperature, by: door, deadband: 0.5}}
  - http: https://example.com/doors/${{door}}
    id: ask
  - debounce: {{for: 30s, by: door}}
  - publish: {{topic: "doors/${{door}}/state", qos: 1, retain: true}}
tests:
""",
)
CASES = (
    """\
  - name: test {n} of kind 0
    given: {{topic: sensors/kitchen/{flow}, payload: {{temperature: 31}}}}
    expect: {{topic: alerts/kitchen, payload: {{temperature: 31, level: hot}}}}
""",
    """\
  - name: test {n} of kind 1
    given:
      - {{topic: meters/a/{flow}, payload: {{temperature: 30}}}}
      - {{after: 10s}}
      - {{topic: meters/a/{flow}, payload: {{temperature: 32}}}}
      - {{after: 5m}}
    expect: {{topic: high/a, payload: {{mean: 31, count: 2}}}}
""",
    """\
  - name: test {n} of kind 2
    given: [{{topic: doors/a/{flow}, payload: {{temperature: 30}}}}, {{after: 1h}}]
    mocks: {{ask: {{payload: open, after: 2s}}}}
    expect: {{topic: doors/a/state, payload: open, qos: 1, retain: true}}
""",
)


def write(folder: Path, tests: int) -> None:
    for flow in range(tests // 5):
        kind = flow % len(FLOWS)
        text = FLOWS[kind].format(n=flow, limit=25) + "".join(CASES[kind].format(n=n, flow=flow) for n in range(5))
        (folder / f"flow_{flow}.yaml").write_text(text, encoding="utf-8")


def main() -> None:
    tests = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), tests)
        for more in ([], ["--coverage"]):
            begin = perf_counter()
            command = [sys.executable, "-m", "flowrunner", "test", folder, *more]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            seconds = perf_counter() - begin
            print(f"{' '.join(['test', *more]):16} {seconds:5.2f} s   {done.stdout.splitlines()[-1].strip('= ')}")
    print(f"peak memory of the larger one: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024} MB")


if __name__ == "__main__":
    main()
