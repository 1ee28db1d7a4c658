"""Holds Tokenwire's requests against those of the official SDKs: `compare.py FOLDER TOKENWIRE [PROVIDER ...]`.

FOLDER has the installed SDKs and a copy of the scripts. Every conversation is had three times, by the real server,
by the Python SDK and by the Node SDK, with a recorder in the provider's place; method, path, headers and body
must be equal. Then Tokenwire's bodies are checked by the SDKs' own types.
"""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import shapes
import signature
from conversations import CONVERSATIONS
from providers import PROVIDERS
from recorder import Recorder
from tokenwire import Tokenwire
# The conversation that is answered.
ROUND_TRIP = "round_trip"


def differences(path, ours, theirs):
    """Where two JSON values differ, as lines."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(ours.keys() | theirs.keys()):
            place = f"{path}.{key}"
            if key not in theirs:
                yield f"{place}: tokenwire says {json.dumps(ours[key])}, the SDK nothing"
            elif key not in ours:
                yield f"{place}: the SDK says {json.dumps(theirs[key])}, tokenwire nothing"
            else:
                yield from differences(place, ours[key], theirs[key])
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, pair in enumerate(zip(ours, theirs)):
            yield from differences(f"{path}[{index}]", *pair)
    elif ours != theirs or isinstance(ours, bool) != isinstance(theirs, bool):
        yield f"{path}: tokenwire says {json.dumps(ours)}, the SDK {json.dumps(theirs)}"


def compare(provider, ours, theirs):
    """Where two requests differ, as lines."""
    yield from differences("method", ours.method, theirs.method)
    yield from differences("path", ours.path, theirs.path)
    if provider.aws:
        for who, request in (("tokenwire", ours), ("the SDK", theirs)):
            if not signature.is_right(request):
                yield f"the signature of {who} is wrong"
    for header in () if provider.aws else provider.headers:
        yield from differences(f"header {header}", ours.headers.get(header), theirs.headers.get(header))
    yield from differences("body", provider.alike_body(ours.body), provider.alike_body(theirs.body))


def ask_tokenwire(tokenwire, recorder, provider):
    """Tokenwire's request for each conversation, and what is wrong with how it took it."""
    names = provider.conversations()

    def starts():
        for name in names:
            if name == ROUND_TRIP:
                recorder.answer("tokenwire", provider.name, "-", provider.answer)
            model = provider.models.get(name, provider.model)
            yield {"model": f"{provider.name}/{model}", **CONVERSATIONS[name]}

    requests, problems = {}, []
    for name, events in zip(names, tokenwire.ask(provider.name, starts())):
        recorded = recorder.take("tokenwire", provider.name, "-")
        error = events[-1].get("error", {})
        if field := provider.refused.get(name):
            refused = (error.get("code") in ("not_supported", "bad_field"), error.get("field"), len(recorded))
            if refused != (True, field, 0):
                problems.append(f"{name}: expected an error for `{field}` and no request, not {len(recorded)}: {error}")
            continue
        expected = 2 if name == ROUND_TRIP else 1
        if len(recorded) != expected:
            problems.append(f"{name}: expected {expected} requests, not {len(recorded)}: {error}")
            continue
        requests[name] = recorded[-1]
        warned = sorted(event["field"] for event in events if event["type"] == "warning")
        expected = sorted(provider.left_out.get(name, []))
        if warned != expected:
            problems.append(f"{name}: expected warnings for {expected}, not {warned}")
    return requests, problems


def ask_sdk(folder, recorder, provider, sdk):
    """The SDK's request for each conversation that its script has, and what it said."""
    programs = {"python": [sys.executable, f"{folder}/ask.py"], "node": ["node", f"{folder}/ask.mjs"]}
    base_url = recorder.url(sdk, provider.name)
    if provider.answer:
        recorder.answer(sdk, provider.name, ROUND_TRIP, provider.answer)
    done = subprocess.run(
        [*programs[sdk], provider.script, base_url], capture_output=True, text=True, timeout=300, check=False
    )
    recorded = {name: recorder.take(sdk, provider.name, name) for name in CONVERSATIONS}
    requests = {name: requests[-1] for name, requests in recorded.items() if requests}
    return requests, done.stderr


def check(folder, binary, recorder, provider, pool):
    """Every difference of one provider, as lines, and how many requests were compared."""
    asked = {sdk: pool.submit(ask_sdk, folder, recorder, provider, sdk) for sdk in provider.sdks}
    url = recorder.url("tokenwire", provider.name, "-")
    with Tokenwire(binary, {name: value.format(url=url) for name, value in provider.env.items()}) as tokenwire:
        requests, problems = ask_tokenwire(tokenwire, recorder, provider)
    compared = 0
    for sdk in provider.sdks:
        theirs, said = asked[sdk].result()
        for name, ours in requests.items():
            if name in theirs:
                compared += 1
                problems += [f"{name} ({sdk}): {line}" for line in compare(provider, ours, theirs[name])]
        missing = [name for name in requests if name not in theirs and name not in provider.unsaid]
        extra = [name for name in theirs if name in provider.refused]
        if missing or extra:
            problems.append(f"({sdk}) did not ask: {missing}; asked what tokenwire refuses: {extra}\n{said}")
    return provider, requests, problems, compared


def main():
    folder, binary, *wanted = sys.argv[1:]
    providers = [provider for provider in PROVIDERS if not wanted or provider.name in wanted]
    recorder = Recorder()
    failed = False
    # The SDKs start as processes, as many at a time as there are cores on a small machine.
    with ThreadPoolExecutor(2) as processes, ThreadPoolExecutor(len(providers)) as pool:
        checks = [pool.submit(check, folder, binary, recorder, provider, processes) for provider in providers]
        checked = [check.result() for check in checks]
    bodies = {
        provider: {name: provider.alike_body(request.body) for name, request in requests.items()}
        for provider, requests, *_ in checked
    }
    typed = shapes.check(folder, bodies)
    for provider, _, problems, compared in checked:
        problems += typed.get(provider.name, [])
        print(f"{provider.name}: {compared} requests compared, {len(problems)} differences")
        for problem in problems:
            failed = True
            print(f"  {problem}")
    for problem in typed.get("", []):
        failed = True
        print(problem)
    sys.exit(failed)


if __name__ == "__main__":
    main()
