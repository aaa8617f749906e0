"""A headless Chromium, by the WebDriver protocol (W3C): for tests of pages."""
import base64
import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
    "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
]


class Browser:
    """One window.  Ends with the block that it was made for."""

    def __init__(self, timeout_s):
        self.timeout_s = timeout_s
        self.folder = tempfile.mkdtemp(prefix="rswap-browser.")
        self.driver = subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
            env=dict(os.environ, HOME=self.folder))
        try:
            self.base = f"http://127.0.0.1:{self._port()}"
            self.session = ""
            answer = self.call("POST", "/session", {"capabilities": {
                "alwaysMatch": {
                    "browserName": "chrome",
                    "goog:chromeOptions": {"args": FLAGS + [
                        f"--user-data-dir={self.folder}/profile"]},
                    "goog:loggingPrefs": {"browser": "ALL"},
                }}})
            self.session = f"/session/{answer['sessionId']}"
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.call("DELETE", "")
        self.close()

    def close(self):
        self.driver.terminate()
        self.driver.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _port(self):
        for line in self.driver.stdout:
            match = re.search(r"started successfully on port (\d+)", line)
            if match:
                return match[1]
        raise SystemExit("chromedriver does not start")

    def call(self, method, path, body=None):
        request = urllib.request.Request(
            self.base + self.session + path, method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s) as got:
                return json.load(got)["value"]
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{path}: {error.read().decode()}") from error

    def go(self, url):
        self.call("POST", "/url", {"url": url})

    def run(self, script, *args):
        """What a script, the body of a function, returns."""
        return self.call("POST", "/execute/sync",
                         {"script": script, "args": list(args)})

    def text(self, selector):
        """The text of what SELECTOR finds first; None if there is none."""
        return self.run("const e = document.querySelector(arguments[0]);"
                        "return e && e.innerText;", selector)

    def table(self, selector):
        return self.run("return [...document.querySelectorAll("
                        "arguments[0] + ' tbody tr')].map(tr =>"
                        "[...tr.children].map(td => td.textContent))", selector)

    def wait(self, what, condition):
        """What CONDITION returns once that is true."""
        end = time.monotonic() + self.timeout_s
        while time.monotonic() < end:
            found = condition()
            if found:
                return found
            time.sleep(0.2)
        raise SystemExit(f"not in time: {what}; the page says:\n"
                         + self.text("body"))

    def screen(self, width, height, phone=False):
        self.call("POST", "/goog/cdp/execute", {
            "cmd": "Emulation.setDeviceMetricsOverride",
            "params": {"width": width, "height": height,
                       "deviceScaleFactor": 1, "mobile": phone}})

    def dark(self, yes):
        self.call("POST", "/goog/cdp/execute", {
            "cmd": "Emulation.setEmulatedMedia",
            "params": {"features": [{"name": "prefers-color-scheme",
                                     "value": "dark" if yes else "light"}]}})

    def shoot(self, path):
        with open(path, "wb") as out:
            out.write(base64.b64decode(self.call("GET", "/screenshot")))

    def complaints(self):
        """What the console has, such as errors of the page."""
        return [entry["message"] for entry in
                self.call("POST", "/se/log", {"type": "browser"})]
