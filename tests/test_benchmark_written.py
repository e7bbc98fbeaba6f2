"""The files of a benchmark's tables: what they say, where they lead, what cannot act in them."""

import csv
import re
import shutil
import subprocess
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from urllib.parse import unquote

import pytest
from rich.console import Console

import benchmark_fixtures as fake
from lookright.benchmark import published_for, terminal_table, write_tables
from lookright.benchmark.columns import OUTSIDE, Column
from lookright.benchmark.comparisons import ImageValues, of_column, with_one
from lookright.benchmark.csv_table import csv_table
from lookright.benchmark.latex import escaped as in_latex
from lookright.benchmark.markdown import escaped as in_markdown
from lookright.benchmark.parts import part
from lookright.benchmark.published_tables import published_tables
from lookright.benchmark.scheme import Pair, schemes
from lookright.data.sets import SETS
from lookright.drawing import p_value
from lookright.errors import UserError
from lookright.files import WRITING
from lookright.metrics.classification import ACCURACY
from lookright.statistics.pairwise import holm

TWO = ("art", "photo")
FILES = ("table.md", "table.tex", "table.csv", "report.html")
HOSTILE = (
    "<script>alert(1)</script>",
    '" onmouseover="alert(1)',
    "</title><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }} {% raw %}",
    r"\input{/etc/passwd} $x$ % & # _ ^ ~ {} \end{table}",
    "a|b [c](javascript:alert(1)) **d** `e` <b>",
    "x\x1b[31m\nsecond line\u202e",
    "Zoë Å 中 \N{SNOWMAN}",
)


def texts(folder):
    return {name: (folder / name).read_text(encoding="utf-8") for name in FILES}


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    root = tmp_path_factory.mktemp("grid") / "runs"
    root.mkdir()
    skip = {("ALIGN", ("photo",), seed) for seed in range(3)} | {("ERM", ("art",), 2)}
    return fake.grid(
        root, ("ERM", "EGAT", "ALIGN"), fake.single_source(TWO), domains=TWO, skip=skip
    )


@pytest.fixture(scope="module")
def written(judged, tmp_path_factory):
    folder = judged[0][0].folder.parent.parent
    missing = ["ALIGN photo 0 failed: the memory is full."]
    page = write_tables(judged, folder, "Two domains", (), "oracle selection", missing)
    assert page == folder / "report.html"
    return folder


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A benchmark whose methods, domains, title and label are hostile."""
    root = tmp_path_factory.mktemp("hostile")
    (root / "runs").mkdir()
    domains = (HOSTILE[0], HOSTILE[4])
    trains = fake.single_source(domains)
    judged = fake.grid(root / "runs", HOSTILE, trains, (0, 1, 2), domains=domains, images=30)
    write_tables(judged, root, HOSTILE[2], (), HOSTILE[1], [HOSTILE[3], HOSTILE[6]])
    return root


class Tags(HTMLParser):
    """Every tag with its attributes, and the text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)


@pytest.mark.parametrize("name", FILES)
def test_every_file_says_what_is_missing_and_how_models_were_selected(written, name):
    text = texts(written)[name]
    assert "oracle selection" in text
    if name != "table.csv":
        assert "the memory is full" in text
        assert "ALIGN lacks 2 cells of 4" in text
        assert "ERM lacks some of the 3 seeds in 2 cells" in text


def test_every_table_of_our_own_figures_is_labelled(written):
    heads = re.findall("^### (.+)", texts(written)["table.md"], re.M)
    assert heads
    assert all("oracle selection" in head for head in heads if "Paired" not in head)
    captions = re.findall(r"\\caption\{(.+)\}", texts(written)["table.tex"])
    assert captions
    assert all("oracle selection" in caption for caption in captions)


def test_the_page_is_labelled_where_it_has_no_tables_title(written):
    text = texts(written)["report.html"]
    heads = re.findall(r"<h[12][^>]*>.*?</h[12]>", text)
    assert "oracle selection" in heads[0]
    assert sum("oracle selection" in head for head in heads) == 3
    assert all(("domain pair" in head or "ranks" in head) for head in heads[1:] if "oracle" in head)


def test_the_values_are_complete_and_exact(judged, written):
    rows = list(csv.DictReader(StringIO(texts(written)["table.csv"])))
    assert len(rows) == 3 * 4
    (scheme,) = schemes(judged)
    for row in rows:
        cell = scheme.cell(row["method"], Pair((row["trained_on"],), row["tested_in"]), "accuracy")
        if cell is None:
            assert row["method"], row["trained_on"] == ("ALIGN", "photo")
            assert row["accuracy"] == row["seeds"] == row["images"] == row["training_seconds"] == ""
            continue
        assert float(row["accuracy"]) == cell.value
        assert float(row["accuracy_sd"]) == cell.sd
        assert int(row["accuracy_seeds"]) == cell.seeds == len(row["seeds"].split())
        assert row["images"] == "200"
        assert float(row["training_seconds"]) == 23
        assert len(row["runs"].split()) == cell.seeds


@pytest.mark.parametrize("name", ["=1+1", "+1", "-2+3", "@SUM(A1)", "\t=1"])
def test_no_name_is_a_formula_for_a_spreadsheet(tmp_path, name):
    judged = fake.grid(tmp_path, (name,), [(name,)], (0,), domains=(name, "photo"), images=9)
    (row, _) = csv.DictReader(StringIO(csv_table(schemes(judged), "")))
    assert {row["method"], row["trained_on"], row["tested_in"]} == {f"'{name}"}
    assert 0 <= float(row["accuracy"]) <= 1


def test_the_tables_have_the_figures_and_their_marks(judged, written):
    (scheme,) = schemes(judged)
    cell = scheme.cell("EGAT", Pair(("photo",), "art"), "accuracy")
    value, sd = ACCURACY.bare(cell.value), ACCURACY.bare(cell.sd)
    found = texts(written)
    assert f"**{value}** ± {sd} <sub>[seed 0]" in found["table.md"]
    assert rf"\textbf{{{value}}} $\pm$ {sd}" in found["table.tex"]
    assert f'<td class="best"><span class="value">{value}</span>' in found["report.html"]


def test_differences_from_one_method_are_tested_for_these_pairs_alone(tmp_path):
    (tmp_path / "runs").mkdir()
    judged = fake.grid(tmp_path / "runs", ("ERM", "AT", "EGAT", "ALIGN"))
    (scheme,) = schemes(judged)
    plain, found = part(scheme), part(scheme, "AT")
    assert plain.differences == ()
    assert (found.averages, found.tested) == (plain.averages, plain.tested)
    sheet = found.differences[0]
    assert sheet.title == "Averages over domain pairs, difference from AT"
    assert [row.name for row in sheet.rows] == ["ERM", "EGAT", "ALIGN"]
    place = [(head.group, head.title) for head in sheet.heads].index(
        ("Out of distribution", "Accuracy")
    )
    entries = {row.name: row.entries[place] for row in sheet.rows}
    column = Column("", "Out of distribution", ACCURACY, OUTSIDE)
    mean = {method: scheme.average(method, column).value for method in scheme.methods}
    compared = with_one(of_column(ImageValues(scheme), column), "AT")
    pairs = {(one.first, one.second): one for one in compared}
    alone = {}
    for name, entry in entries.items():
        assert float(entry.value) == pytest.approx(100 * (mean[name] - mean["AT"]), abs=0.051)
        two = schemes([each for each in judged if each[1].name in (name, "AT")])[0]
        (single,) = of_column(ImageValues(two), column)
        alone[name] = single.p
        assert entry.note == f"p = {p_value(pairs[name, 'AT'].p)}"
        assert (entry.mark == "best") == (pairs[name, "AT"].p <= 0.05)
    assert [one.p for one in pairs.values()] == pytest.approx(holm([*alone.values()]))
    assert entries["EGAT"].mark == "best"
    page = write_tables(judged, tmp_path, "Four", against="AT")
    assert page == tmp_path / "report.html"
    for name, text in texts(tmp_path).items():
        assert ("Averages over domain pairs, difference from AT" in text) == (name != "table.csv")


@pytest.mark.parametrize("name", ["table.md", "table.tex", "report.html"])
def test_a_figure_of_fewer_seeds_says_so(written, name):
    text = texts(written)[name]
    lines = [line for line in text.splitlines() if "2 of 3 seeds" in line]
    assert lines
    if name != "report.html":
        assert {line.strip("| ").split()[0] for line in lines} == {"ERM"}


@pytest.mark.parametrize("name", ["table.md", "report.html"])
def test_every_cell_leads_to_its_runs(judged, written, name):
    text = texts(written)[name]
    pattern = r"\]\(([^)]*)\)" if name == "table.md" else r'<a href="([^"#]*)"'
    found = {unquote(link) for link in re.findall(pattern, text)}
    assert all((written / link).is_dir() for link in found)
    assert {(written / link).resolve() for link in found} == {
        run.folder.resolve() for run, _ in judged
    }


def test_a_link_leads_to_the_page_of_a_run_that_has_one(tmp_path):
    (tmp_path / "odd runs").mkdir()
    ((run, result),) = fake.grid(tmp_path / "odd runs", ("ERM",), [("art",)], (0,), domains=TWO)
    (run.folder / "report.html").touch()
    write_tables([(run, result)], tmp_path / "out", "One")
    text = (tmp_path / "out" / "table.md").read_text(encoding="utf-8")
    assert f"(../odd%20runs/{run.folder.name}/report.html)" in text


@pytest.mark.parametrize("old", [(), ("table.md", "report.html")], ids=["new", "old"])
def test_files_are_replaced_together(judged, tmp_path, old, monkeypatch):
    """The third of the files cannot be written."""
    for name in old:
        (tmp_path / name).write_text("old")
    monkeypatch.setattr("lookright.benchmark.write.csv_table", lambda *_: "\ud800")
    with pytest.raises(UnicodeEncodeError):
        write_tables(judged, tmp_path, "Two domains")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(old, "old")
    monkeypatch.undo()
    write_tables(judged, tmp_path, "Two domains")
    assert all(text != "old" for text in texts(tmp_path).values())
    assert not (tmp_path / WRITING).exists()


def test_the_page_needs_no_network_and_runs_no_other_script(written):
    page = Tags(texts(written)["report.html"])
    assert [tag for tag, _ in page.tags].count("script") == 1
    for _, attributes in page.tags:
        for name in ("src", "href"):
            assert not (attributes.get(name) or "").startswith(("http", "//", "javascript"))


def test_nothing_in_a_name_acts_on_the_page(hostile):
    page = Tags(texts(hostile)["report.html"])
    counts = [tag for tag, _ in page.tags]
    assert counts.count("script") == 1
    assert "img" not in counts
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    shown = "".join(page.text)
    for name in HOSTILE[:6]:
        assert name in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def test_nothing_in_a_name_acts_in_markdown(hostile):
    text = texts(hostile)["table.md"]
    assert "<script" not in text
    assert not re.search(r"(?<!\\)\]\(javascript", text)
    assert "\x1b" not in text
    head = re.search(r"^\| Method.*\|$", text, re.M)[0]
    columns = len(re.findall(r"(?<!\\)\|", head))
    lines = text[head and text.index(head) :].split("\n\n")[0].splitlines()
    assert len(lines) == 2 + len(HOSTILE)
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {columns}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("100% & #1_a", r"100\% \& \#1\_a"),
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
        ("a~b^c", r"a\textasciitilde{}b\textasciicircum{}c"),
        ("$x$", r"\$x\$"),
        ("Zoë Å ß ł", r"Zo\"{e} \r{A} \ss{} \l{}"),
        ("中", "{[}U+4E2D{]}"),
        ("two\nlines", "two lines"),
        ("[1] --- ''", "{[}1{]} {-}{-}{-} {'}{'}"),
        ("naïve", r"na\"{\i}ve"),
        ("\x1b", "{[}U+001B{]}"),
    ],
)
def test_text_in_latex(name, expected):
    assert in_latex(name) == expected


def test_latex_is_ascii_whatever_the_names(hostile):
    assert texts(hostile)["table.tex"].isascii()


def test_text_in_markdown():
    assert in_markdown("a|b *c* _d_ <e>\n# f") == r"a\|b \*c\* \_d\_ &lt;e&gt; \# f"


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="pdflatex is not installed")
@pytest.mark.parametrize("which", ["written", "hostile"])
def test_latex_compiles(which, request, tmp_path):
    folder = request.getfixturevalue(which)
    shutil.copy(folder / "table.tex", tmp_path)
    (tmp_path / "paper.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs}\\usepackage{graphicx}"
        "\\begin{document}\\input{table.tex}\\end{document}"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    assert (tmp_path / "paper.pdf").is_file()


def test_what_papers_print_stands_apart(judged, tmp_path):
    domains = {"art": "VOC2007", "photo": "LabelMe"}
    renamed = [(run, _renamed(result, domains)) for run, result in judged]
    write_tables(renamed, tmp_path, "Two", published_for("VLCS"))
    found = texts(tmp_path)
    for name in ("table.md", "table.tex", "report.html"):
        ours, theirs = re.split("Published by DomainBed", found[name], maxsplit=1)
        assert "97.7" not in ours
        assert "arXiv 2007.01434" in theirs
        assert "86.91" in theirs
        assert "EGAT (ours)" in theirs
    assert "97.7" not in found["table.csv"]
    write_tables(renamed, tmp_path, "Two", published_for("VLCS"), "oracle selection")
    for text in (text for name, text in texts(tmp_path).items() if name != "table.csv"):
        assert "EGAT (ours, oracle selection)" in text
        assert "EGAT (ours)" not in text
    (scheme,) = schemes(renamed)
    cell = scheme.cell("EGAT", Pair(("VOC2007",), "VOC2007"), "accuracy")
    row = re.search(r"^\| EGAT \(ours\) \| ([\d.]+) ± ([\d.]+) \|", found["table.md"], re.M)
    assert row.groups() == (f"{100 * cell.value:.1f}", f"{100 * cell.sd:.1f}")
    marked = re.search(r"^### Published.*", found["table.md"], re.M | re.S)[0]
    assert "**" not in marked
    assert "seed 0" not in marked


SPELLED = {
    "vlcs": ("Caltech101", "LabelMe", "SUN", "PASCAL"),
    "pacs": ("art_painting", "Cartoon", "P", "sketch"),
    "office_home": ("Art", "Clipart", "Product", "RealWorld"),
    "terra_incognita": ("location_100", "loc_38", "L43", "46"),
}


@pytest.mark.parametrize("spelled", [True, False])
@pytest.mark.parametrize("name", SETS)
def test_ours_stand_beside_the_published_figures_of_the_same_domain(name, spelled, tmp_path):
    names = SPELLED[name] if spelled else tuple(SETS[name].domains)
    trains = fake.single_source(names) + fake.leave_one_out(names)
    runs = fake.grid(tmp_path, ("ERM",), trains, (0,), domains=names, images=20)
    found = schemes(runs)
    for published in published_for(SETS[name].title):
        (scheme,) = (each for each in found if each.name == published.source.scheme)
        (sheet,) = published_tables([published], [scheme])
        (row,) = (each for each in sheet.rows if each.kind == "ours")
        values = dict(zip(published.domains, (of.value for of in row.entries), strict=True))
        assert all(values.values())
        for pair in scheme.pairs:
            domain = SETS[name].domain(pair.test)
            if scheme.where(pair) == published.source.where and domain in values:
                cell = scheme.cell("ERM", pair, published.measure.key)
                assert values[domain] == f"{100 * cell.value:.1f}"


def _renamed(result, names):
    changed = {names[name]: of for name, of in result.domains.items()}
    trained = tuple(names[name] for name in result.train_domain)
    return type(result)(**{**vars(result), "domains": changed, "train_domain": trained})


def test_the_terminals_table_fits_and_has_the_averages(judged):
    console = Console(width=80, record=True, file=StringIO())
    console.print(terminal_table(judged, "oracle selection"))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert "oracle selection" in text
    assert "…" not in text
    (scheme,) = schemes(judged)
    value = scheme.mean("EGAT", scheme.pairs_of("accuracy", OUTSIDE), ACCURACY).value
    assert ACCURACY.show(value) in text
    assert "ALIGN lacks 2 cells of 4" in text


def test_markup_in_a_name_is_text_in_a_terminal(tmp_path):
    name = "[red]A[/red]"
    skip = {(name, ("photo",), 0)}
    judged = fake.grid(tmp_path, (name, "B"), fake.single_source(TWO), (0,), skip=skip, domains=TWO)
    console = Console(width=80, record=True, file=StringIO())
    console.print(terminal_table(judged, "[bold]x"))
    text = console.export_text()
    assert f"  {name} " in text
    assert f"{name} lacks 2 cells" in text
    assert "[bold]x" in text


def test_no_results_leave_nothing(tmp_path):
    with pytest.raises(UserError, match="got none"):
        write_tables([], tmp_path / "out", "Nothing")
    assert not Path(tmp_path / "out").exists()
