"""Strings that somebody's code has stumbled over, as values, as names and as the model of a request: text to us, which
goes upstream byte for byte and is one line of each log."""

import json

from tools.case import WireCase, rows
from tools.client import request
from tools.upstream import wait_until

ZALGO = "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334\u0319\u0324\u031e\u0349\u035aA\u0317\u0332L\u0338G\u0334O\u0321"

STRINGS = [
    # names that mean something in some language
    "", "undefined", "null", "nil", "None", "NaN", "Infinity", "-Infinity", "true", "FALSE", "__proto__", "constructor",
    "prototype", "hasOwnProperty", "toString", "__class__", "__init__", "self", "COM1", "CON", "/dev/null", "then",
    # numbers as text
    "0", "-0", "1e309", "0x7fffffffffffffff", "18446744073709551616", "1" + "0" * 400, "0.1e-400", "1,000.00", "1_000",
    "\u0661\u0662\u0663", "\u00bd", "08", "1/0", "--1", "1e5e5",
    # markup and script
    "<script>alert(1)</script>", "</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg/onload=alert(1)>",
    "javascript:alert(1)", "\"onmouseover=\"alert(1)", "<!--#exec cmd=\"id\"-->", "<?xml version=\"1.0\"?><!DOCTYPE a>",
    "<![CDATA[x]]>", "&lt;b&gt;&amp;&#0;", "data:text/html,<b>", "{{7*7}}", "${7*7}", "<%= 7*7 %>", "#{7*7}", "${jndi:ldap://a/b}",
    # SQL and shells
    "' OR '1'='1", "'; DROP TABLE api_keys; --", "\" OR \"\"=\"", "1; ATTACH DATABASE '/tmp/x' AS x", "\\'; --", "%' --", "`id`", "$(id)",
    "; cat /etc/passwd", "| ls -la", "&& true", "$HOME", "%PATH%", "!!", "() { :; }; echo x",
    # format strings, paths, line ends
    "%s%s%s%n", "%x%x%x%p", "%d", "{0}", "%00", "\\x00", "../../../etc/passwd", "..\\..\\windows\\win.ini", "file:///etc/passwd",
    "C:\\", "\r\nX-Injected: yes\r\n\r\n", "\n{\"decision\":\"pass\"}", "a\rb", "\t", "\b\f", "data: [DONE]\n\n", "\\", "\\\\u0000", "\"",
    # control characters
    "\0", "a\0b", "\x01\x02\x1f", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x7f", "\x80\x85\x9f", "\xa0\xad",
    # Unicode
    "\u202etxt.exe", "\u2066\u2067\u2069", "\u200b\u200c\u200d\u2060\ufeff", "\u2028\u2029", "\ufeffabc", "\ufffe\uffff", "\U0010ffff",
    "\ufdd0", ZALGO, ZALGO * 40, "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466", "\U0001f3f4\U000e0067\U000e0062\U000e007f",
    "\U0001f1fa\U0001f1f3", "\u2764\ufe0f", "e\u0301\u00e9", "\u212a\u017f\u0131\u0130", "\uff1cscript\uff1e", "\ufb03", "\u0645\u0631\u062d\u0628\u0627",
    "\u05e9\u05dc\u05d5\u05dd", "\u7530\u4e2d\u3055\u3093", "\U00020bb7", "\u0e01\u0e33\u0e49\u0e49\u0e49", "\uffa0\u3164\u2800", "x" * 5000,
]
NAMED = {f"{i} {ascii(text)[:24]}": text for i, text in enumerate(STRINGS)}
MODEL_BYTES_MAX = 256


def is_model(text):
    return 0 < len(text.encode()) <= MODEL_BYTES_MAX and not any(ord(c) < 0x20 or ord(c) == 0x7f for c in text)


def body_of(text, model="m", as_ascii=True):
    document = {"model": model, "messages": [{"role": "user", "content": text}], "user": text,
                "x": {text: [text, {text: text}]}}
    return json.dumps(document, ensure_ascii=as_ascii).encode()


class Strings(WireCase):
    def send(self, body):
        return self.ask(request("POST", "/v1/chat/completions", (), body, self.key))

    @rows(NAMED)
    def value(self, text):
        for as_ascii in (True, False):
            body = body_of(text, as_ascii=as_ascii)
            response = self.send(body)
            self.assertEqual(response.status, 200, response)
            self.assertEqual(self.upstream.calls()[-1].body, body, "forwarded byte for byte")

    @rows(NAMED)
    def model(self, text):
        calls = self.calls()
        body = body_of("hello", text)
        response = self.send(body)
        if not is_model(text):
            self.assert_refused(response, 400, "VALIDATION_ERROR")
            self.assertEqual(response.json()["error"]["param"], "model")
            self.assertEqual(self.calls(), calls)
            return
        self.assertEqual(response.status, 200, response)
        self.assertEqual(self.upstream.calls()[-1].body, body)

    def test_the_model_is_logged_as_it_was_said_and_in_one_line(self):
        said = {self.send(body_of("hello", text)).get("x-request-id"): text for text in STRINGS if is_model(text)}
        for log in ("access.log", "app.log"):
            wait_until(lambda: said.keys() <= self.written(log).keys(), f"a line of each in {log}")
        lines = self.written("access.log")
        self.assertEqual({name: lines[name]["model"] for name in said}, said)

    def written(self, log):
        """What a log says, by request. Each line is JSON without anything that might be taken for a line's end."""
        text = (self.gateway.folder / log).read_bytes().decode()
        self.assertNotRegex(text, "[\0-\x09\x0b-\x1f\x7f\u2028\u2029]")
        documents = [json.loads(line) for line in text.split("\n")[:-1]]
        return {document.get("request_id"): document for document in documents}
