"""Pages in a real browser: one for all tests of a process, a tab for each."""

import functools
import io
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"


class Page:
    """A browser at the service."""

    def __init__(self, driver: Any, url: str) -> None:
        self.driver = driver
        self.url = url

    def ask(self, problem: str, solution: str) -> None:
        for name, text in (("problem", problem), ("solution", solution)):
            self.run("document.getElementById(arguments[0]).value = arguments[1]", name, text)
        self.run("document.getElementById('ask').requestSubmit()")

    def example(self, n: int) -> None:
        self.wait("document.querySelectorAll('.chip').length > 2")
        self.run("document.querySelectorAll('.chip')[arguments[0]].click()", n)
        self.run("document.getElementById('ask').requestSubmit()")

    def press(self, name: str) -> None:
        """By keyboard."""
        from selenium.webdriver.common.keys import Keys

        self.driver.find_element("id", name).send_keys(Keys.ENTER)

    def conclusion(self) -> str:
        self.wait("document.querySelector('.conclusion:not(.waiting), .notice')")
        return str(self.run("return document.querySelector('.conclusion, .notice').textContent"))

    def run(self, code: str, *args: Any) -> Any:
        return self.driver.execute_script(code, *args)

    def wait(self, condition: str, seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while not self.run(f"return Boolean({condition})"):
            assert time.monotonic() < end, condition
            time.sleep(0.05)

    def command(self, name: str, **values: Any) -> Any:
        return self.driver.execute_cdp_cmd(name, values)

    def size(self, width: int, height: int, dark: bool = False) -> None:
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self, name: str) -> None:
        """For the docs, where they are wanted: PICTURES=1."""
        if os.environ.get("PICTURES"):
            from PIL import Image

            whole = Image.open(io.BytesIO(self.driver.get_screenshot_as_png())).convert("RGB")
            whole.quantize(96).save(PICTURES / f"{name}.png", optimize=True)

    def quiet(self) -> bool:
        """No complaint in the console, and no request to anywhere else."""
        log = [json.loads(line["message"])["message"] for line in self.driver.get_log("performance")]
        asked = [one["params"]["request"]["url"] for one in log if one["method"] == "Network.requestWillBeSent"]
        return not self.driver.get_log("browser") and all(url.startswith(self.url) for url in asked) and bool(asked)


@functools.cache
def driver() -> Any:
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "hide-scrollbars", "disable-dev-shm-usage"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))


def close() -> None:
    if driver.cache_info().currsize:
        driver().quit()


@contextmanager
def browser(url: str) -> Iterator[Page]:
    """A new tab, without anything that an earlier one has kept or logged."""
    shared = driver()
    (first,) = shared.window_handles
    shared.switch_to.new_window("tab")
    try:
        page = Page(shared, url)
        page.command("Storage.clearDataForOrigin", origin=url.rstrip("/"), storageTypes="all")
        for log in ("browser", "performance"):
            shared.get_log(log)
        shared.get(url)
        page.size(1280, 900)
        yield page
    finally:
        shared.close()
        shared.switch_to.window(first)
