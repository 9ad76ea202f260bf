"""What must hold whatever the test was about. Each oracle returns its complaints as a list of
sentences; none of them knows what was sent.

O1 one-to-one      what the upstream was asked is what the access log says was passed on
O2 canonical bytes every request upstream has the one canonical shape (checked while it is read)
O3 framing errors  refused with 400, closed, nothing of them upstream (case.py)
O4 identity        no client's credential upstream, nothing of the upstream's key at a client
O6 independence    one outcome however the bytes were cut (case.py)
O7 no secrets      in no log, database or error output
O8 reasons         every refusal has a reason in the access log
O9 audit           the audit log proves itself, and has every caller who was turned away exactly once
"""

import collections
import json
import re

SANITIZER = re.compile(r"(?:ERROR|WARNING): \w*Sanitizer|SUMMARY: \w*Sanitizer|runtime error:|LeakSanitizer")
REQUIRED_FIELDS = ["x-request-id", "x-content-type-options", "x-frame-options", "referrer-policy",
                   "content-security-policy"]


def sanitizers(said):
    for number, line in enumerate(said):
        if SANITIZER.search(line):
            return ["a sanitizer spoke:\n" + "\n".join(said[max(0, number - 2):number + 60])]
    return []


def json_lines(path):
    lines = []
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        try:
            lines.append(json.loads(line))
        except ValueError as error:
            raise AssertionError(f"{path.name}:{number}: not one JSON object ({error}): {line!r}") from None
    return lines


def one_to_one(log, upstreams):
    passed = [line for line in log if line.get("decision") == "pass" and line.get("upstream")]
    refused_late = [line for line in log if line.get("decision") != "pass" and line.get("upstream")]
    asked = [request for upstream in upstreams for request in upstream.calls()]
    own = [line for line in passed if re.match(r"GET (/v1/models|/api/tags|/api/version) ", line["request"])]
    # A request that the upstream then failed is logged with its failure, and may or may not have
    # reached it; everything else is exact.
    low, high = len(passed) - len(own), len(passed) + len(refused_late)
    if not low <= len(asked) <= high:
        ids = {value.decode() for request in asked for value in request.values("x-request-id")}
        return [f"O1: the upstream was asked {len(asked)} times, the log has {low} to {high} passed, such as "
                f"{[line for line in passed if line['request_id'] not in ids and line not in own][:3]}"]
    return []


def canonical(upstreams):
    return [f"O2: {violation}" for upstream in upstreams for violation in upstream.violations]


def secret_parts(secret):
    """A key's secret part; a fragment of it is as bad as the whole. So is one of a token."""
    match = re.fullmatch(r"sp_[0-9A-Za-z]{12}_([0-9A-Za-z]{49})", secret)
    if match:
        return [match[1][:20], match[1][23:43]]
    if match := re.fullmatch(r"sp_refresh_([0-9A-Za-z]{43})", secret):
        return [match[1][:20], match[1][23:43]]
    if match := re.fullmatch(r"eyJ[\w-]+\.[\w-]+\.([\w-]{43})", secret):
        return [match[1]]
    return [secret]


def credentials_upstream(secrets, upstreams):
    complaints = []
    for upstream in upstreams:
        for connection in upstream.connections:
            for secret in secrets:
                for part in secret_parts(secret):
                    if part.encode() in connection.received:
                        complaints.append(f"O4: a client's credential went upstream ({part[:6]}...)")
    return complaints


def secrets_in_files(secrets, folder, said):
    complaints = []
    sources = [(path.name, path.read_bytes()) for path in folder.rglob("*")
               if path.is_file() and path.suffix not in (".toml", ".env", ".pem")]
    sources.append(("standard error", "\n".join(said).encode(errors="replace")))
    for name, content in sources:
        for secret in secrets:
            for part in secret_parts(secret):
                if part.encode() in content:
                    complaints.append(f"O7: a secret stands in {name} ({part[:6]}...)")
    return complaints


def secrets_in_errors(secrets, answers):
    return [f"O7: a secret stands in {answer!r}" for answer in answers if answer.status >= 400
            for secret in secrets for part in secret_parts(secret) if part.encode() in answer.body]


def reasons(log, answers):
    """Every answer has its line, with its status; every refusal its reason; every line its shape."""
    complaints = []
    lines = {}
    for line in log:
        if line.get("request_id") in lines:
            complaints.append(f"O8: request id {line['request_id']} is logged twice")
        lines[line.get("request_id")] = line
    for answer in answers:
        line = lines.get(answer.get("x-request-id"))
        if line is None:
            complaints.append(f"O8: no log line for {answer!r}")
        elif line["status"] != str(answer.status):
            complaints.append(f"O8: logged as {line['status']}: {answer!r}")
        elif not line.get("decision"):
            complaints.append(f"O8: no decision: {line}")
        elif answer.status >= 400 and line["decision"] == "pass" and not line.get("upstream"):
            complaints.append(f"O8: a refusal without a reason: {line}")
        elif answer.status < 400 and line["decision"] != "pass":
            complaints.append(f"O8: {answer.status} with the reason {line['decision']}")
    return complaints[:20]


EVENTS = {"401": "denied", "403": "denied", "429": "rate_limited"}  # of our own refusals, by status
OTHERS = {"bad_password": "login_failed"}  # by their reason


def audited(gateway, log):
    """Counted by event, address and reason: floods are one record each, and so are those before them."""
    wanted, found = collections.Counter(), collections.Counter()
    for line in log:
        if line["status"] in EVENTS and line["decision"] not in ("pass", "bad_login"):  # that is login_failed
            event = OTHERS.get(line["decision"], EVENTS[line["status"]])
            wanted[event, line["remote_addr"], line["decision"]] += 1
    for record in gateway.audit_log():
        if record["event"] in EVENTS.values() or record["reason"] in OTHERS:
            found[record["event"], record["ip"], record["reason"]] += record.get("count", 1)
    return [] if wanted == found else [
        f"O9: refused but not recorded {dict(wanted - found)}, recorded but not refused {dict(found - wanted)}"]


def proved(gateway):
    if not gateway.audit_log():
        return []
    gateway.write_config()  # some test may have left one that is none
    done = gateway.command("audit", "verify", check=False)
    return [] if done.returncode == 0 else [f"O9: the audit log does not prove itself: {done.stdout}{done.stderr}"]


def fields(answers):
    complaints = set()
    for answer in answers:
        for name in REQUIRED_FIELDS:
            if answer.get(name) is None:
                complaints.add(f"a {answer.status} answer lacks {name}")
        if answer.get("server") is not None:
            complaints.add(f"an answer shows a banner: {answer.get('server')}")
    return sorted(complaints)


def whole_life(gateway, counted, upstreams):
    log = gateway.access_log()
    json_lines_of_app = gateway.folder / "app.log"
    if json_lines_of_app.exists():
        json_lines(json_lines_of_app)
    return ((one_to_one(log, counted) if counted is not None else []) + canonical(upstreams)
            + credentials_upstream(gateway.secrets, upstreams)
            + secrets_in_files(gateway.secrets + upstream_secrets(gateway), gateway.folder, gateway.said)
            + secrets_in_errors(gateway.secrets, gateway.answers)
            + upstream_key_at_clients(gateway) + reasons(log, gateway.answers)
            + fields(gateway.answers) + audited(gateway, log) + proved(gateway))


def upstream_secrets(gateway):
    return [upstream["api_key"] for upstream in gateway.upstreams if upstream.get("api_key")]


def upstream_key_at_clients(gateway):
    return [f"O4: the upstream's key reached a client: {answer!r}"
            for answer in gateway.answers for secret in upstream_secrets(gateway)
            if secret.encode() in answer.body or any(secret.encode() in value for _, value in answer.fields)]
