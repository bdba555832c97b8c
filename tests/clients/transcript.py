"""Steps of a life cycle: each prints one line, with everything masked that is by nature different from
server to server (ids, times), and the first that is not as wanted ends the script."""

import json
import re
import sys

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
NIL = "00000000-0000-0000-0000-000000000000"


class Transcript:
    def __init__(self, secret: str):
        """`secret` is the part of all names that is new in each run."""
        self.secret = secret
        self.ids: dict[str, str] = {}

    def mask(self, value) -> str:
        """One spelling per value; the same id is the same mask through the whole run."""
        text = json.dumps(plain(value), sort_keys=True, ensure_ascii=False)
        text = text.replace(self.secret, "RUN")
        return UUID.sub(lambda found: self.name(found.group()), text)

    def name(self, uuid: str) -> str:
        return uuid if uuid == NIL else self.ids.setdefault(uuid, f"id{len(self.ids) + 1}")

    def step(self, what: str, got, wanted) -> None:
        """`got` must be `wanted`, a value or a predicate."""
        fits = wanted(got) if callable(wanted) else self.mask(got) == self.mask(wanted)
        print(f"{what}: {self.mask(got)}", flush=True)
        if not fits:
            self.fail(what, self.mask(got), "something else" if callable(wanted) else self.mask(wanted))

    def hold(self, what: str, fact: bool) -> None:
        """For values that must not be in the transcript: only the fact is."""
        print(f"{what}: {'holds' if fact else 'does not hold'}", flush=True)
        if not fact:
            self.fail(what, "does not hold", "holds")

    def refused(self, what: str, kind: str, message: str, call) -> None:
        """`call` must raise an exception of exactly this class whose text contains `message`."""
        try:
            answer = call()
        except Exception as error:  # Any class is worth comparing.
            got = f"{type(error).__name__}: {error}"
            print(f"{what}: {self.mask(got)}", flush=True)
            if type(error).__name__ != kind or message not in str(error):
                self.fail(what, self.mask(got), f"{kind} with {message!r}")
        else:
            self.fail(what, self.mask(answer), f"{kind} with {message!r}")

    def fail(self, what: str, got: str, wanted: str) -> None:
        print(f"DIFFERENT at {what!r}\n  wanted {wanted}\n  got    {got}", file=sys.stderr)
        sys.exit(1)


def plain(value):
    """What the client returns, as JSON knows it."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)
