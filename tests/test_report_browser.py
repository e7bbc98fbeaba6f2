"""The page in a real browser: no network, no errors, baselines, phone width and the dark."""

import json
import shutil
from itertools import combinations

import pytest

import benchmark_fixtures as planted
import report_fixtures as fake
from lookright.benchmark import published_for, write_tables
from lookright.report import write_page

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
WebDriverWait = pytest.importorskip("selenium.webdriver.support.wait").WebDriverWait

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("chromium and chromedriver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    profile = tmp_path_factory.mktemp("profile")
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(driver)
    with webdriver.Chrome(options=options, service=service) as opened:
        yield opened


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    root = tmp_path_factory.mktemp("page")
    methods = (*fake.METHODS, *fake.LEARNED)
    return write_page(fake.write_all(root, methods, seeds=1), root / "report.html").as_uri()


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    root = tmp_path_factory.mktemp("crowd")
    names = [*fake.METHODS, *(f"Variant {i} of a method" for i in range(16))]
    folders = fake.write_all(root, names, seeds=1, count=2)
    return write_page(folders, root / "report.html").as_uri()


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    root = tmp_path_factory.mktemp("benchmark")
    (root / "runs").mkdir()
    judged = planted.grid(root / "runs", ("ERM", "EGAT", "ALIGN"), images=40)
    page = write_tables(
        judged, root, "A benchmark", published_for("VLCS"), "oracle selection", against="ERM"
    )
    return page.as_uri()


@pytest.fixture
def page(browser, url):
    appear(browser, "light")
    size(browser, 1280)
    browser.get_log("performance")
    browser.get_log("browser")
    visit(browser, url)
    return browser


def visit(browser, url):
    """Waits for the scripts: the driver may return from opening the same page while it loads."""
    browser.get(url)
    WebDriverWait(browser, 30).until(
        lambda b: b.execute_script("return document.readyState") == "complete"
    )


def appear(browser, scheme):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def size(browser, width):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500},
    )


def style(browser, selector, name):
    return browser.execute_script(
        "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]",
        selector,
        name,
    )


def contrast(first, second):
    def luminance(colour):
        channels = [float(c) / 255 for c in colour[colour.index("(") + 1 : -1].split(",")[:3]]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


def test_nothing_but_the_file_is_asked_for(page, url):
    events = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    asked = {
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    }
    assert url in asked
    assert {link for link in asked if not link.startswith("data:")} == {url}
    assert page.get_log("browser") == []


def test_a_benchmark_draws_its_ranks_and_shows_one_measure_at_a_time(page, benchmark):
    page.get_log("performance")
    visit(page, benchmark)
    events = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    asked = [each["params"]["request"]["url"] for each in events if "request" in each["params"]]
    assert {link for link in asked if not link.startswith("data:")} == {benchmark}
    assert page.get_log("browser") == []
    for figure, named in ((".critical", "EGAT 1.00"), (".forest", "difference from ERM: EGAT +")):
        drawn = [one for one in page.find_elements("css selector", figure) if one.is_displayed()]
        assert len(drawn) == 1
        assert named in drawn[0].accessible_name
        _texts_have_room(page, drawn[0])
    maps = "#maps-1 [data-measure]"
    shown = [one for one in page.find_elements("css selector", maps) if one.is_displayed()]
    assert [one.get_attribute("data-measure") for one in shown] == ["Accuracy"]


def _texts_have_room(page, figure):
    """Names and figures lie within the drawing, and none on another."""
    boxes = page.execute_script(
        """const box = (one) => { const r = one.getBoundingClientRect();
             return [r.left, r.right, r.top, r.bottom]; };
           return [...arguments[0].querySelectorAll('text')].map(box)""",
        figure,
    )
    inside = page.execute_script(
        "const r = arguments[0].getBoundingClientRect(); return [r.left, r.right]", figure
    )
    assert boxes
    assert all(inside[0] <= left and right <= inside[1] for left, right, *_ in boxes)
    for one, two in combinations(boxes, 2):
        assert one[1] <= two[0] or two[1] <= one[0] or one[3] <= two[2] or two[3] <= one[2]


def test_every_picture_decodes(page):
    broken = page.execute_script(
        "return [...document.images].filter(i => !(i.complete && i.naturalWidth > 0)).length"
    )
    assert page.execute_script("return document.images.length") > 100
    assert broken == 0


def test_a_learned_mask_lies_on_its_image_whatever_the_slider_says(page):
    script = """const [image, shade] = document.querySelectorAll('.learned img');
        const [a, b] = [image.getBoundingClientRect(), shade.getBoundingClientRect()];
        return [a.x - b.x, a.y - b.y, a.width - b.width, a.height - b.height]"""
    assert page.execute_script(script) == [0, 0, 0, 0]
    page.find_element("id", "opacity").send_keys("\ue011")  # Home
    assert style(page, ".learned .shade", "opacity") == "1"


def test_the_pictures_of_an_image_stand_in_line_whatever_the_names(page, url):
    size(page, 1000)
    visit(page, url)
    tops = page.execute_script(
        """return [...document.querySelectorAll('.example:first-of-type .pair')]
        .map(e => e.getBoundingClientRect().top).filter(top => top)"""
    )
    heights = page.execute_script(
        """return [...document.querySelectorAll('.example:first-of-type h4')]
        .map(e => e.firstChild).map(text => {
            const range = document.createRange(); range.selectNode(text);
            return Math.round(range.getBoundingClientRect().height)}).filter(height => height)"""
    )
    assert len(tops) == len(fake.METHODS) + len(fake.LEARNED)
    assert len(set(heights)) > 1
    assert len(set(tops)) == 1


def test_slider_sets_the_opacity_from_the_keyboard(page):
    assert float(style(page, ".overlay", "opacity")) == 0.75
    slider = page.find_element("id", "opacity")
    assert slider.accessible_name == "Explanation"
    slider.send_keys("\ue011")  # Home
    assert float(style(page, ".overlay", "opacity")) == 0
    slider.send_keys("\ue014")  # right arrow
    assert float(style(page, ".overlay", "opacity")) == pytest.approx(0.05)
    assert page.find_element("css selector", "output").text == "5%"


def choose(page, name, value):
    box = page.find_element("css selector", f'[name="{name}"][value="{value}"]')
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", box)
    box.click()


PARTS = ("tables", "galleries", "trust", "manipulated", "claims")


@pytest.mark.parametrize("part", [f"domain-{part}" for part in PARTS])
def test_domains_can_be_chosen(page, part):
    panels = page.find_elements("css selector", f"#{part} > [data-domain]")

    def shown():
        return [p.get_attribute("data-domain") for p in panels if p.is_displayed()]

    assert shown() == ["train"]
    for value, expected in (("reversed", ["reversed"]), ("", list(fake.DOMAINS))):
        choose(page, f"{part}-domain", value)
        assert shown() == expected


@pytest.mark.parametrize(
    ("part", "by", "values"),
    [
        ("heat", "measure", ("accuracy", "stability")),
        ("removals", "fill", ("blur", "mean")),
        (
            "pairwise",
            "measure",
            ("Accuracy", "Adversarial accuracy", "Mass on object", "Stability (cosine)"),
        ),
    ],
)
def test_what_is_shown_of_a_domain_can_be_chosen_beside_the_domain(page, part, by, values):
    script = """return [...document.querySelectorAll(`#${arguments[0]} [data-${arguments[1]}]`)]
        .filter(e => e.offsetHeight > 0)
        .map(e => [e.parentElement.dataset.domain, e.dataset[arguments[1]]].join())"""

    def shown():
        return page.execute_script(script, part, by)

    assert shown() == [f"train,{values[0]}"]
    choose(page, f"{part}-{by}", values[1])
    choose(page, f"{part}-domain", "reversed")
    assert shown() == [f"reversed,{values[1]}"]
    choose(page, f"{part}-{by}", "")
    assert shown() == [f"reversed,{value}" for value in values]


@pytest.mark.parametrize("scripts", [True, False])
def test_a_baseline_opens_to_each_model_even_without_scripts(page, url, scripts):
    page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not scripts})
    try:
        visit(page, url)
        baseline = page.find_element("css selector", ".has_baselines:has(.each)")
        own = baseline.find_elements("css selector", ".own")
        assert len(own) == len(fake.METHODS) + len(fake.LEARNED)
        assert not any(row.is_displayed() for row in own)
        baseline.find_element("css selector", ".each input").click()
        assert all(row.is_displayed() for row in own)
    finally:
        page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_everything_is_there_without_scripts(page, url):
    page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        visit(page, url)
        tables = page.find_elements("css selector", "#domain-tables > [data-domain]")
        hidden = page.find_elements("css selector", ".away")
        baselines = page.find_element("id", "opacity").value_of_css_property("visibility")
    finally:
        page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert (len(tables), hidden, baselines) == (3, [], "hidden")


@pytest.mark.parametrize(
    ("which", "width"),
    [
        *(("url", width) for width in (375, 768, 1280)),
        *(("crowd", width) for width in (375, 1400)),
        *(("benchmark", width) for width in (375, 1280)),
    ],
)
def test_the_body_never_scrolls_sideways(page, request, which, width):
    size(page, width)
    visit(page, request.getfixturevalue(which))
    inner, body = page.execute_script(
        "return [document.documentElement.clientWidth, document.documentElement.scrollWidth]"
    )
    assert body <= inner
    assert width - 20 <= inner <= width  # the vertical scroll bar


@pytest.mark.parametrize("width", [400, 1400])
def test_maps_and_pictures_stay_inside_their_boxes_and_large_enough(page, crowd, width):
    size(page, width)
    visit(page, crowd)
    choose(page, "heat-measure", "stability")
    over, narrow = page.execute_script(
        """const inside = (e) => e.getBoundingClientRect().right
            <= e.parentElement.getBoundingClientRect().right + 0.5;
        const shown = (css) => [...document.querySelectorAll(css)].filter(e => e.offsetHeight > 0);
        return [shown('.heat, .removed, .manipulate, .pair, .removal')
            .filter(e => !inside(e)).length,
            Math.min(...shown('.view .picture').map(e => e.offsetWidth))]"""
    )
    assert over == 0
    assert narrow >= 60


def test_the_wide_table_scrolls_in_its_own_box_on_a_phone(page, url):
    size(page, 375)
    visit(page, url)
    scrolls, name_stays = page.execute_script(
        """const box = document.querySelector('.table .scroll');
        box.scrollLeft = 400;
        const name = box.querySelector('tbody th').getBoundingClientRect();
        return [box.scrollLeft, name.left >= 0 && name.left < 40]"""
    )
    assert scrolls == 400
    assert name_stays
    text = page.execute_script(
        """const svg = document.querySelector('.panel svg');
        return 11.5 * svg.getBoundingClientRect().width / svg.viewBox.baseVal.width"""
    )
    assert text >= 11


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_follow_the_scheme_and_can_be_read(page, scheme):
    light = style(page, "body", "backgroundColor")
    appear(page, scheme)
    paper = style(page, "body", "backgroundColor")
    assert (paper == light) == (scheme == "light")
    soft = (".lede", ".spread", ".absent", "thead th", ".right", ".wrong", ".cell h4", "summary")
    for selector in soft:
        assert contrast(style(page, selector, "color"), paper) >= 4.5, selector
    for selector in (
        ".verdict.fine",
        ".against",
        ".against.beaten",
        ".baseline td",
        ".removed figcaption",
        ".aside",
        ".minus",
        ".pairs .right",
    ):
        assert contrast(style(page, selector, "color"), paper) >= 4.5, selector
    for k in range(8):
        method = page.execute_script(
            """const probe = document.body.appendChild(document.createElement('h4'));
            probe.className = arguments[0]; return getComputedStyle(probe).color""",
            f"c{k}",
        )
        assert contrast(method, paper) >= 4.5, k
    for text in (".tick", ".name", ".figures"):
        assert contrast(style(page, text, "fill"), paper) >= 4.5, text
    caution = style(page, ".caution", "backgroundColor")
    assert contrast(style(page, ".caution", "color"), caution) >= 4.5
    suspect = ".verdict.suspect"
    assert contrast(style(page, suspect, "color"), style(page, suspect, "backgroundColor")) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_square_of_a_heat_map_can_be_read_and_is_fuller_the_higher(page, scheme):
    appear(page, scheme)
    colours = page.execute_script(
        """const pixel = document.createElement('canvas').getContext('2d');
        const rgb = (colour) => {
            pixel.fillStyle = colour; pixel.fillRect(0, 0, 1, 1);
            return `rgb(${[...pixel.getImageData(0, 0, 1, 1).data].slice(0, 3)})`;
        };
        const row = document.querySelector('.heat').insertRow();
        return [...Array(11).keys()].map((level) => {
            const cell = row.insertCell(); cell.className = `h${level}`;
            const style = getComputedStyle(cell);
            return [rgb(style.color), rgb(style.backgroundColor)];
        })"""
    )
    assert min(contrast(ink, square) for ink, square in colours) >= 4.5
    away = [contrast(square, colours[0][1]) for _, square in colours]
    assert away == sorted(away)
    assert away[-1] > 1.5


def test_figures_speak_to_a_screen_reader(page):
    for svg in page.find_elements("css selector", "figure.panel svg"):
        assert "Accuracy" in svg.accessible_name or "accuracy" in svg.accessible_name
    removed = page.find_element("css selector", "figure.removed svg").accessible_name
    assert removed.startswith("Deletion ERM in train: probability")
    descriptions = page.find_elements("css selector", "figure.panel desc")
    assert "ERM" in descriptions[0].get_attribute("textContent")


def test_print_shows_every_domain(page):
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        panels = page.find_elements("css selector", "#domain-tables > [data-domain]")
        assert all(panel.is_displayed() for panel in panels)
        assert not page.find_element("id", "opacity").is_displayed()
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
