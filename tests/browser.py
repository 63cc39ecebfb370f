"""A browser for tests of pages: Chromium, driven by selenium; whoever takes it is skipped where there is none.

Debian's is `apt-get install chromium chromium-driver`. Nothing but this machine can be reached from it. What a
page asks for and what the console says is written down, and held against what a page may do at its end.
"""

import base64
import json
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By

from llmkit.serving import app as application, served
from llmkit.serving.keys import Keys
from llmkit.tasks import experiment as experiments

SIZES = {"phone": (390, 844), "desk": (1280, 900)}
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage --disable-extensions"
)
WAIT_SECONDS = 30


def found() -> tuple[str, str] | None:
    """Chromium and its driver; None where one of them is not there."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    return (chromium, driver) if chromium and driver else None


def start(folder: Path) -> webdriver.Chrome:
    """A browser that knows nothing; `folder` is for its files."""
    programs = found()
    assert programs
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    for flag in FLAGS.split():
        options.add_argument(flag)
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
    options.add_argument(f"--user-data-dir={folder}")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    return webdriver.Chrome(options=options, service=Service(programs[1]))


class Page:
    """An open page at the size of a phone or of a desk."""

    def __init__(self, driver: webdriver.Chrome, address: str, size: str):
        self.driver = driver
        self.width, height = SIZES[size]
        driver.get("about:blank")
        driver.get_log("browser")
        driver.get_log("performance")
        about = {"width": self.width, "height": height, "deviceScaleFactor": 1, "mobile": size == "phone"}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", about)
        driver.get(address)

    def __getitem__(self, name: str) -> Any:
        """The element of an id."""
        return self.driver.find_element(By.ID, name)

    def all(self, where: str) -> list[Any]:
        """The elements that a CSS selector finds."""
        return self.driver.find_elements(By.CSS_SELECTOR, where)

    def run(self, script: str, *arguments: Any) -> Any:
        """What a line of JavaScript returns."""
        return self.driver.execute_script(script, *arguments)

    def wait(self, is_so: Any) -> Any:
        """What `is_so` gives once that is something."""
        end = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < end:
            if result := is_so():
                return result
            time.sleep(0.02)
        raise AssertionError(
            f"not within {WAIT_SECONDS} s; the page says: {self.driver.find_element(By.TAG_NAME, 'body').text}"
        )

    def answer(self) -> str:
        """The text of the answer once it is whole."""
        self.wait(
            lambda: self.run(
                "return !at('answer').ariaBusy && (at('answer').hasChildNodes() || at('problem').textContent)"
            )
        )
        return str(self["answer"].text)

    def press(self, *keys: str) -> None:
        """Keys, wherever the focus is."""
        ActionChains(self.driver).send_keys(*keys).perform()

    @property
    def focus(self) -> str:
        """The id of the element that has the focus."""
        return str(self.run("return document.activeElement.id"))

    def drop(self, path: Path, where: Any) -> None:
        """A file is dropped on an element, as a person does it."""
        at = self.run(
            "arguments[0].scrollIntoView({block: 'center'});"
            "const r = arguments[0].getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]",
            where,
        )
        data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            event = {"type": kind, "x": at[0], "y": at[1], "data": data}
            self.driver.execute_cdp_cmd("Input.dispatchDragEvent", event)

    def picture(self, file: Path) -> None:
        """A picture of the whole page, for people."""
        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
        file.write_bytes(base64.b64decode(shot["data"]))

    def check(self) -> None:
        """Nothing was asked of anybody else, the console says nothing, nothing scrolls sideways."""
        own = urlsplit(self.driver.current_url).netloc.rpartition("@")[2]
        asked = [
            message["params"]["request"]["url"]
            for entry in self.driver.get_log("performance")
            if (message := json.loads(entry["message"])["message"])["method"] == "Network.requestWillBeSent"
        ]
        assert asked
        assert [
            url for url in asked if urlsplit(url).netloc.rpartition("@")[2] != own and not url.startswith("data:")
        ] == []
        assert [entry["message"] for entry in self.driver.get_log("browser")] == []
        assert self.run("return document.documentElement.scrollWidth") <= self.width


@contextmanager
def serving(*folders: Path, keys: Keys | None = None) -> Iterator[str]:
    """The address of a server of model folders, each called as the folder of its run."""
    models = {served.name_of(folder): folder for folder in folders}
    loaded = {name: served.serve(experiments.read_model(folder), name, 1) for name, folder in models.items()}
    wall, _ = application.build(loaded, keys, None, 30.0)
    server = uvicorn.Server(uvicorn.Config(wall, http="h11", ws="none", log_config=None, access_log=False))
    with socket.create_server(("127.0.0.1", 0)) as one:
        thread = threading.Thread(target=server.run, args=([one],))
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield f"127.0.0.1:{one.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
            for model in loaded.values():
                model.close()
