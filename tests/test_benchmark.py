"""A benchmark from its file to its table: every cell once, resumed, and nothing wrong unsaid."""

import json
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from filelock import FileLock

from lookright import cli
from lookright.attacks import FGSM, L2, PGD
from lookright.benchmark import Benchmark, read_benchmark
from lookright.benchmark.check import check
from lookright.benchmark.cost import Cost
from lookright.benchmark.estimate import planned
from lookright.benchmark.live import Display
from lookright.benchmark.plan import ORACLE, Contender, Images
from lookright.benchmark.selection import rows
from lookright.data import Augment, Seen
from lookright.errors import UserError
from lookright.evaluation import Protocol
from lookright.evaluation.left_out import judgeable
from lookright.evaluation.result import read_result
from lookright.methods import AWP, ERM, GradientPenalty
from lookright.models import SmallResNet
from lookright.spec import build, spec_of
from lookright.training import Run, preset
from planted import planted, planted_masks

TESTS = Path(__file__).parent
TABLES = ("table.md", "table.tex", "table.csv", "report.html")
DOMAINS = ("ink", "oil", "wax")
FILE = {
    "title": "Pets",
    "data": {"folder": "pets", "image_size": 8},
    "methods": {"ERM": None, "steady": {"class_path": "FastAT"}},
    "training": {"epochs": 1, "batch_size": 16},
    "evaluation": {
        "only": True,
        "limit": 6,
        "stages": {"attacks": {"steps": 1, "restarts": 1, "curve": []}},
    },
}


EXPECTED = {
    "method": "steady",
    "better_than": "ERM",
    "measure": "accuracy_adversarial",
    "where": "in distribution",
}


@pytest.fixture(autouse=True)
def _narrow(monkeypatch):
    monkeypatch.setattr(SmallResNet.__init__, "__defaults__", (4,))


@pytest.fixture(scope="module")
def pets(tmp_path_factory) -> Path:
    return planted(tmp_path_factory.mktemp("data") / "pets", DOMAINS)


@pytest.fixture
def write(tmp_path, pets):
    """Writes a file that differs from FILE in some options."""
    (tmp_path / "pets").symlink_to(pets)

    def written(**options) -> Path:
        path = tmp_path / "trial.yaml"
        path.write_text(yaml.safe_dump(FILE | options))
        return path

    return written


@pytest.fixture(scope="module")
def finished(tmp_path_factory, pets):
    """A file and its output, once it has been run."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "pets").symlink_to(pets)
    path = folder / "trial.yaml"
    path.write_text(yaml.safe_dump(FILE | {"only": ["ink"]}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SmallResNet.__init__, "__defaults__", (4,))
        return path, run(path)


def run(path: Path, *options: str) -> Path:
    output = path.parent / "out"
    cli.main(["benchmark", str(path), "--output", str(output), *options])
    return output


def code_of(path: Path, *options: str) -> int:
    with pytest.raises(SystemExit) as end:
        run(path, *options)
    return int(end.value.code)


def opened(path: Path) -> Benchmark:
    return read_benchmark(path).located(path.parent)


def rows_of(benchmark: Benchmark):
    data = benchmark.load()
    return rows(benchmark, benchmark.grid(data, ""))


def results(output: Path):
    """Of each finished evaluation, by its run's folder."""
    told = sorted(output.glob("*/jobs/evaluation-*/result.json"))
    homes = {path.parents[2]: json.loads(path.read_text())["result"] for path in told}
    return [read_result(home / where) for home, where in homes.items()]


def test_every_method_is_trained_on_every_domain_and_judged_on_all(write, capsys):
    methods = {"ERM": None, "steady [/] :fire:": {"class_path": "FastAT"}}
    output = run(write(against="ERM", methods=methods), "--seeds", "1")
    found = results(output)
    assert sorted((each.name, each.train_domain) for each in found) == [
        (name, (domain,)) for name in methods for domain in DOMAINS
    ]
    for each in found:
        assert list(each.domains) == list(DOMAINS)
        inside = {name for name, here in each.domains.items() if here.in_distribution}
        assert inside == set(each.train_domain)
        assert each.config["command"] == "lookright benchmark trial.yaml --seeds 1"
    printed = capsys.readouterr()
    line = r"6 of 6: steady \[/\] :fire: on wax, seed 0: ink [\d.]+% / [\d.]+%, .*wax\* "
    assert re.search(line, printed.err)
    assert all((output / name).stat().st_size for name in TABLES)
    assert "steady" in printed.out
    assert "domain pairs, difference from ERM" in (output / "table.md").read_text()


def test_a_hypothesis_is_recorded_tested_and_told(write, capsys):
    file = {"only": ["ink"], "seeds": 3}
    output = run(write(**file, hypotheses=[EXPECTED]), "--seeds", "1")
    (recorded,) = json.loads((output / "hypotheses.json").read_text())
    assert (recorded["expected"]["hypothesis"], recorded["evaluations"]) == (EXPECTED, 0)
    assert recorded["expected"]["seeds"] == [0, 1, 2]
    said = "steady better than ERM: adversarial accuracy, in distribution: "
    assert said + "1 of 3 seeds so far." in " ".join(capsys.readouterr().out.split())
    run(write(**file, hypotheses=[EXPECTED]))
    told = " ".join(capsys.readouterr().out.split())
    assert re.search(
        re.escape(said) + r"[-+\d.]+ points \(.*\), p \(Holm\) = .*: not shown\.", told
    )
    assert "before any evaluation" in (output / "table.md").read_text()
    later = EXPECTED | {"measure": "accuracy"}
    run(write(**file, hypotheses=[later]))
    text = (output / "table.md").read_text()
    assert re.search(r"steady better than ERM: accuracy, .*after 6 evaluations", text)
    assert "in distribution (no longer in the file)" in text


def test_another_form_of_a_method_makes_another_hypothesis(write):
    file = {"only": ["ink"], "seeds": 3, "hypotheses": [EXPECTED]}
    output = run(write(**file))
    forms = {"ERM": None, "steady": {"class_path": "FastAT", "init_args": {"step": 1}}}
    run(write(**file, methods=forms), "--seeds", "1")
    (recorded,) = json.loads((output / "hypotheses.json").read_text())
    assert recorded["evaluations"] == 6


def test_a_method_with_chosen_settings_may_be_expected_to_be_better(write):
    searched = {
        "ERM": None,
        "steady": {"method": "FastAT", "search": {"training.lr": [0.1, 0.2]}},
    }
    output = run(
        write(
            only=["ink"], seeds=3, methods=searched, selection="oracle", hypotheses=[EXPECTED],
            domains=["ink", "oil"],
        )
    )  # fmt: skip
    text = (output / "table.md").read_text()
    assert re.search(r"steady \(oracle\) better than ERM: .* 3, \d+ ", text)


def test_a_dry_run_records_no_hypothesis(write):
    path = write(only=["ink"], seeds=3, hypotheses=[EXPECTED])
    run(path, "--dry_run")
    assert not (path.parent / "out" / "hypotheses.json").exists()


def test_a_second_call_does_nothing_twice(write, monkeypatch, capsys):
    path = write(only=["ink"])
    output = run(path)
    before = {each: each.stat().st_mtime_ns for each in output.glob("*-*/**/*")}
    monkeypatch.setattr("lookright.evaluation.evaluator.Evaluator.see", None)
    monkeypatch.setattr("lightning.Trainer.fit", None)
    capsys.readouterr()
    run(path)
    assert before == {each: each.stat().st_mtime_ns for each in output.glob("*-*/**/*")}
    assert "steady" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "cells"),
    [
        ({}, [("ink",), ("oil",), ("wax",)]),
        ({"only": ["oil"]}, [("oil",)]),
        ({"domains": ["oil", "ink"]}, [("oil",), ("ink",)]),
        (
            {"scheme": "leave_one_domain_out"},
            [("oil", "wax"), ("ink", "wax"), ("ink", "oil")],
        ),
        ({"scheme": "leave_one_domain_out", "only": ["wax"]}, [("ink", "oil")]),
        ({"scheme": "leave_one_domain_out", "domains": ["wax", "ink"]}, [("ink",), ("wax",)]),
    ],
)
def test_the_scheme_says_what_is_trained_on(write, options, cells):
    benchmark = opened(write(**options))
    assert benchmark.cells(benchmark.load()) == cells


@pytest.mark.parametrize(
    ("seeds", "all_seeds"), [(3, (0, 1, 2)), ([4, 2], (4, 2)), ("5,7", (5, 7))]
)
def test_seeds_are_a_number_or_a_list(write, seeds, all_seeds):
    path = write(seeds=seeds)
    assert read_benchmark(path).all_seeds == all_seeds
    assert read_benchmark(path).located(path.parent, seeds=1).all_seeds == (0,)
    assert rows_of(opened(path))[0].seed == all_seeds[0]


def test_options_of_a_method_win_over_those_of_all(write):
    methods = {"ERM": {"method": "ERM", "training": {"epochs": 2, "augment": True}}, "late": "ERM"}
    trained = [row.training(row.trials[0]) for row in rows_of(opened(write(methods=methods)))]
    own, of_all = trained[0].options, trained[1].options
    assert (own["epochs"], of_all["epochs"]) == (2, 1)
    assert (own["batch_size"], of_all["batch_size"]) == (16, 16)
    assert own["lr"] == 0.01


def test_a_preset_lies_beneath_what_the_file_says(write):
    data = {"folder": "pets"}
    methods = {"ERM": None, "short": {"method": "ERM", "training": {"epochs": 2}}}
    path = write(preset="domainbed", data=data, methods=methods, training={"lr": 0.1})
    of_all, own = (row.training(row.trials[0]) for row in rows_of(opened(path))[:2])
    assert (of_all.model, of_all.pretrained, of_all.data.image_size) == (
        "resnet50.tv_in1k",
        True,
        224,
    )
    assert of_all.data.preprocessing.mode == "squash"
    assert (of_all.settings.steps, of_all.settings.lr) == (5000, 0.1)
    assert (of_all.settings.domain_batch_size, of_all.settings.preset) == (32, "domainbed")
    assert (own.settings.steps, own.settings.epochs) == (None, 2)
    path = write(preset="domainbed", model="small_resnet", pretrained=False)
    small = rows_of(opened(path))[0].training(rows_of(opened(path))[0].trials[0])
    assert (small.model, small.pretrained, small.data.image_size) == ("small_resnet", False, 8)


def test_jobs_are_known_by_images_and_not_by_folders(write, tmp_path, pets):
    path = write()
    moved = shutil.copytree(pets, tmp_path / "elsewhere")
    here = [row.evaluation(row.trials[0]) for row in rows_of(opened(path))]
    there = read_benchmark(path).located(path.parent, moved)
    again = [row.evaluation(row.trials[0]) for row in rows_of(there)]
    assert [job.place(tmp_path) for job in here] == [job.place(tmp_path) for job in again]
    built = [build(spec_of(job)) for job in here]
    assert [job.place(tmp_path) for job in here] == [job.place(tmp_path) for job in built]
    assert len({job.place(tmp_path) for job in here}) == len(here)


def test_a_folder_that_is_given_takes_the_place_of_built_in_data(write, pets):
    path = write(data={"folder": "Shortcut"})
    assert read_benchmark(path).located(path.parent).data.built_in
    assert read_benchmark(path).located(path.parent, pets).data.folder == str(pets)


def test_a_failed_job_stops_no_other_and_is_tried_again(write, monkeypatch, capsys):
    path = write(only=["ink"])
    with monkeypatch.context() as patch:
        patch.setattr("lookright.benchmark.check._try", lambda *given: None)
        patch.setattr("lookright.methods.FastAT.forward", lambda *given: 1 / 0)
        assert code_of(path) == 1
    printed = capsys.readouterr()
    assert "steady ink 0 failed: ZeroDivisionError: division by zero" in printed.out
    assert "error: 1 job failed, as said above" in printed.err
    assert [each.name for each in results(path.parent / "out")] == ["ERM"]
    run(path)
    assert sorted(each.name for each in results(path.parent / "out")) == ["ERM", "steady"]


def test_tables_that_cannot_be_written_stop_no_job(write, monkeypatch, capsys):
    def full(*given):
        raise UserError("No space left on the disk")

    path = write(only=["ink"])
    with monkeypatch.context() as patch:
        patch.setattr("lookright.benchmark.live.write_contents", full)
        assert code_of(path) == 1
    output = path.parent / "out"
    assert "error: No space left on the disk" in capsys.readouterr().err
    assert len(results(output)) == 2
    run(path)
    assert (output / "table.md").exists()


def test_a_result_of_another_version_is_told_and_the_rest_is_in_the_table(write, capsys):
    path = write(only=["ink"])
    output = run(path)
    (old,) = output.glob("erm-*/results/*/result.json")
    old.write_text(old.read_text().replace('"format": 2', '"format": 1'))
    (old.parent / "checksums.json").unlink()
    assert code_of(path) == 1
    printed = capsys.readouterr()
    assert re.search(
        r"ERM ink 0 evaluated failed: .*has format 1: .*Or delete .*erm-ink", printed.out
    )
    table = (output / "table.md").read_text()
    assert "steady" in table
    assert "1 of 2 evaluations are missing" in table


@pytest.mark.parametrize(
    "damaged",
    [
        "metrics.csv",
        "results/*/images.csv.gz",
        "results/*/result.json",
        "jobs/evaluation-*/result.json",
    ],
)
def test_what_is_damaged_is_told_and_the_rest_is_in_the_table(finished, damaged, capsys):
    path, output = finished
    (file,) = output.glob(f"erm-*/{damaged}")
    whole = file.read_bytes()
    file.write_bytes(whole[:-9])
    assert code_of(path) == 1
    told = capsys.readouterr().out
    file.write_bytes(whole)
    assert re.search(
        r"ERM ink 0 evaluated failed: .*elete .*erm-ink\S+, and the same command", told
    )
    assert "| steady |" in (output / "table.md").read_text()
    assert "| ERM |" not in (output / "table.md").read_text()


def test_a_row_may_have_a_gradient_penalty_round_a_perturbation(write):
    row = {"method": "FastAT", "awp": 0.02, "gradient_penalty": 0.1}
    output = run(write(only=["ink"], methods={"small": row}))
    (method,) = [Run(folder).method() for folder in output.glob("small-*/")]
    assert (type(method), method.weight) == (GradientPenalty, 0.1)
    assert (type(method.method), method.method.gamma) == (AWP, 0.02)


def test_a_gradient_penalty_can_be_searched_for(write):
    row = {"method": "ERM", "search": {"gradient_penalty": [0, 0.1]}}
    output = run(write(only=["ink"], methods={"small": row}))
    tried = [Run(folder).method() for folder in output.glob("small-*/")]
    assert {type(each) for each in tried} == {ERM, GradientPenalty}


def test_a_row_may_have_an_adversarial_weight_perturbation(write):
    row = {"method": "FastAT", "awp": 0.02, "search": {"method.step": [1, 1.5]}}
    path = write(only=["ink"], methods={"FastAT": None, "FastAT-AWP": row})
    output = run(path)
    assert {each.name for each in results(output)} == {"FastAT", "FastAT-AWP"}
    tried = [Run(folder).method() for folder in output.glob("fastat-awp-*/")]
    assert {(type(each), each.gamma) for each in tried} == {(AWP, 0.02)}
    assert {each.method.step for each in tried} == {1, 1.5}


def test_tables_that_another_command_is_writing_are_waited_for(write, monkeypatch):
    path = write(only=["ink"], methods={"ERM": None})
    output = run(path)
    (output / "table.md").unlink()
    own, tried = Display.write, []

    def write_after_another(display, *given):
        tried.append(given)
        if len(tried) == 3:  # after that of the evaluation, and one at the end
            held.release()
        return own(display, *given)

    monkeypatch.setattr(Display, "write", write_after_another)
    held = FileLock(output / ".lock")
    held.acquire()
    run(path)
    assert len(tried) == 3
    assert (output / "table.md").exists()


def test_ctrl_c_writes_what_is_done_and_the_same_command_goes_on(write, monkeypatch, capsys):
    def interrupted(*given):
        raise KeyboardInterrupt

    path = write(only=["ink"])
    with monkeypatch.context() as patch:
        patch.setattr("lookright.benchmark.check._try", lambda *given: None)
        patch.setattr("lookright.methods.FastAT.forward", interrupted)
        assert code_of(path) == 130
    output = path.parent / "out"
    assert "the same command continues it" in capsys.readouterr().err
    assert list(output.glob("*.html"))
    (done,) = results(output)
    run(path)
    assert done in results(output)
    assert len(results(output)) == 2


@pytest.mark.parametrize(
    ("launch", "options", "asked"),
    [
        ({}, "", (None, None, 1, None)),
        ({"workers": 2, "per_gpu": 3}, "", (2, None, 3, None)),
        ({"workers": 2, "threads": 1}, "--workers 4", (4, None, 1, 1)),
        ({"workers": 2, "threads": 1}, "--ray auto", (None, "auto", 1, 1)),
        ({"ray": "auto"}, "--workers 4", (4, None, 1, None)),
    ],
)
def test_the_command_goes_before_the_file_s_launcher(write, monkeypatch, launch, options, asked):
    def choose(*given):
        raise UserError(f"asked for {given}")

    monkeypatch.setattr("lookright.benchmark.launch.choose", choose)
    monkeypatch.setattr("lookright.verbs.benchmark.check", lambda *given: None)
    with pytest.raises(UserError, match=re.escape(f"asked for {asked}")):
        cli.run(["benchmark", str(write(launch=launch)), *options.split()])


def test_a_dry_run_lists_the_jobs_and_does_nothing(write, capsys):
    path = write(only=["ink"])
    output = run(path, "--dry-run")
    assert not output.exists()
    printed = " ".join(capsys.readouterr().out.split())
    for job in (
        "ERM ink 0 waiting",
        "ERM ink 0 evaluated waiting",
        "steady ink 0 evaluated waiting",
    ):
        assert job in printed
    assert "4 jobs: 4 waiting. About 0:00:" in printed
    run(write(only=["ink"], methods={"ERM": None}))
    capsys.readouterr()
    run(write(only=["ink"]), "--dry_run")
    printed = " ".join(capsys.readouterr().out.split())
    assert "4 jobs: 2 done, 2 waiting." in printed


def test_a_dry_run_times_every_trial_of_a_search(write, monkeypatch):
    timed, validated = [], []

    def steps(method, batch, repeats):
        timed.append(method.attack.steps)
        return Cost(float(method.attack.steps), None)

    def held(clock, job, attack):
        validated.append(attack and attack.steps)
        return 0.0

    monkeypatch.setattr("lookright.benchmark.estimate.step_cost", steps)
    monkeypatch.setattr("lookright.benchmark.estimate._Clock._validation", held)
    attack = {"class_path": "PGD"}
    at = {"class_path": "AT", "init_args": {"attack": attack}}
    searched = {"method": at, "search": {"method.attack.steps": [1, 20]}}
    run(write(only=["ink"], methods={"AT": searched}, trials=2), "--dry_run")
    assert sorted(timed) == [1, 20]
    assert None not in validated


@pytest.mark.parametrize(
    ("launch", "threads"),
    [({"threads": 3}, 3), ({"workers": 2, "threads": 1}, 1), ({"workers": 10_000}, 1)],
)
def test_a_dry_run_times_with_the_threads_of_a_job(write, monkeypatch, launch, threads):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before, seen = torch.get_num_threads(), []

    def timed(*given, **options):
        seen.append(torch.get_num_threads())
        return Cost(1.0, None)

    for name in ("step_cost", "evaluation_cost"):
        monkeypatch.setattr(f"lookright.benchmark.estimate.{name}", timed)
    run(write(only=["ink"], launch=launch), "--dry_run")
    assert {*seen} == {threads}
    assert torch.get_num_threads() == before


def _times_alone(monkeypatch) -> None:
    """A training takes no time, and every judged image a second."""
    monkeypatch.setattr("lookright.benchmark.estimate._Clock._training", lambda *given: 0.0)
    monkeypatch.setattr(
        "lookright.benchmark.estimate.evaluation_cost",
        lambda model, batch, protocol: Cost(float(len(batch)), None),
    )


@pytest.mark.parametrize("limit", [None, 20])
def test_a_dry_run_counts_the_images_that_are_judged(tmp_path, monkeypatch, limit):
    """Shortcut's digits are the same in all domains, so those trained on are judged in none."""
    _times_alone(monkeypatch)
    domains = ("train", "reversed", "noisy")
    asked = Benchmark(
        {"ERM": Contender(ERM)},
        data=Images("Shortcut"),
        domains=domains,
        only=("train",),
        evaluation=Protocol(limit=limit),
    )
    data = asked.load()
    jobs = planned(rows(asked, asked.grid(data, "")), tmp_path)
    seen = Seen.in_domains(data, ["train"])
    counts = [len(judgeable(data, domain, seen, {})) for domain in domains]
    assert max(counts) < len(data.keys("noisy")) / 2
    assert jobs[-1].seconds == sum(min(count, limit or count) for count in counts)


def test_a_dry_run_leaves_out_what_the_oracle_chose_by(write, monkeypatch):
    _times_alone(monkeypatch)
    asked = opened(write(only=["ink"], selection="oracle", evaluation={}))
    data = asked.load()
    *_, last = planned(rows(asked, asked.grid(data, "")), write().parent / "out")
    judged = data.parts("ink").count("test")
    judged += sum(part != "validation" for domain in ("oil", "wax") for part in data.parts(domain))
    assert last.seconds == judged


WRONG = {
    "a method's option": (
        {"methods": {"odd": {"class_path": "EGAT", "init_args": {"stabilty": 1}}}},
        r"EGAT has no option 'stabilty'.*Did you mean 'stability'",
    ),
    "no such method": ({"methods": {"EGHAT": None}}, r"no method 'EGHAT'.*Did you mean 'EGAT'"),
    "no methods": ({"methods": {}}, "one method or more"),
    "methods as a list": ({"methods": ["ERM"]}, "names with methods"),
    "an option of the file": ({"seedz": 3}, r"no option 'seedz'.*Did you mean 'seeds'"),
    "an option of training": ({"training": {"epoch": 3}}, r"no option 'epoch'.*mean 'epochs'"),
    "a value of training": ({"training": {"epochs": 0}}, "epochs must be 1 or more"),
    "an optimiser": (
        {"training": {"optimizer": "adamw"}},
        "one of 'AdamW', 'Adam', 'SGD' for training.optimizer, got 'adamw'. Did you mean 'AdamW'",
    ),
    "a stage": ({"evaluation": {"stages": {"atacks": {}}}}, r"no stage 'atacks'.*Did you mean"),
    "a domain": ({"domains": ["ink", "oyl"]}, r"domain of pets.*got 'oyl'. Did you mean 'oil'"),
    "a domain of only": ({"only": ["ole"]}, r"domain of pets.*got 'ole'. Did you mean 'oil'"),
    "a domain twice": ({"domains": ["ink", "oil", "ink"]}, "different domains in domains; got ink"),
    "a domain of only twice": ({"only": ["ink", "ink"]}, "different domains in only; got ink, ink"),
    "only outside": ({"domains": ["ink", "oil"], "only": ["wax"]}, "in only some of the domains"),
    "one domain": (
        {"domains": ["ink"], "scheme": "leave_one_domain_out"}, "needs two domains or more",
    ),
    "a scheme": ({"scheme": "leave_one_out"}, r"one of 'single_source', 'leave_one_domain_out'"),
    "a folder without its option": ({"data": "pets"}, "Expected options for data.*got 'pets'"),
    "a list of folders": ({"data": ["pets"]}, "Expected options for data.* folder, images"),
    "a number of workers": ({"launch": 2}, "Expected options for launch.* workers, ray, per_gpu"),
    "no folder": ({"data": {"folder": "pest"}}, "pest"),
    "a perturbation without an attack": (
        {"methods": {"odd": {"method": "ERM", "awp": 0.01}}},
        "odd: AWP needs a method that trains against an attack, got ERM",
    ),
    "a negative perturbation": (
        {"methods": {"odd": {"method": "AT", "awp": -1}}},
        "^odd: awp is a size .*, 0 or more; got -1",
    ),
    "a negative penalty": (
        {"methods": {"odd": {"method": "AT", "gradient_penalty": -1}}},
        "^odd: gradient_penalty is a weight, 0 or more; got -1",
    ),
    "masks": (
        {"methods": {"held": {"class_path": "MaskAlignment", "init_args": {"guide": "HumanMask"}}}},
        "held: .*needs masks, and none of the",
    ),
    "a layer": (
        {"methods": {"EGAT": {"class_path": "EGAT", "init_args": {"explainer": {
            "class_path": "GradCAM", "init_args": {"layer": "blocks.4"}}}}}},
        "EGAT: .*blocks.4",
    ),
    "domains to compare": ({"methods": {"IRM": None}}, "compares domains, so it trains on two"),
    "another version": ({"format": 2}, "of format 1 in .*trial.yaml, but it has format 2"),
    "against": ({"against": "ERN"}, r"in against one of the methods ERM, steady; got 'ERN'. Did"),
    **{
        f"a hypothesis {kind}": ({"hypotheses": given, "seeds": 3}, says)
        for kind, given, says in (
            ("about nobody", [EXPECTED | {"method": "stedy"}],
             "in hypotheses two of the methods ERM, steady; got 'stedy'. Did you mean 'steady'"),
            ("about one method", [EXPECTED | {"better_than": "steady"}], "got steady twice"),
            ("of no image", [EXPECTED | {"measure": "auc"}],
             "of every image: accuracy, .*balanced_accuracy_adversarial; got 'auc'"),
            ("of nowhere", [EXPECTED | {"where": "abroad"}], "got 'abroad'"),
            ("twice", [EXPECTED, EXPECTED], "one stands there twice"),
            ("unfinished", [{"method": "ERM"}], "needed: better_than"),
            ("in no list", EXPECTED, "under hypotheses a list, such as '- {method"),
            ("in one word", "steady", "under hypotheses a list, .*got 'steady'"),
            ("that is null", None, "under hypotheses a list, .*got 'None'"),
        )
    },
    "a hypothesis of one seed": (
        {"hypotheses": [EXPECTED]}, "on 3 seeds or more, and the file has 1: write 'seeds: 3'",
    ),
    "a hypothesis of other domains, where there is none": (
        {"hypotheses": [EXPECTED | {"where": "out of distribution"}], "domains": ["ink"],
         "seeds": 3},
        "about steady is of domains that are not trained on, and there is none",
    ),
    "a hypothesis of masks, where there is none": (
        {"hypotheses": [EXPECTED | {"measure": "localisation_mass"}], "seeds": 3,
         "evaluation": {"stages": {"explanations": {}}}},
        "about localisation_mass needs masks, and none",
    ),
    "published": ({"published": ["VLCZ"]}, "with published figures"),
    "seeds": ({"seeds": 0}, "1 or more; got 0"),
    "a million seeds": ({"seeds": 10**6}, "at most 10,000 trainings.*ERM has 1000000 seeds"),
    "the same seed twice": ({"seeds": [1, 1]}, "different seeds"),
    "weights": (
        {"weights": "mine.safetensors"}, "weights at '.*mine.safetensors', which is not there",
    ),
    "a preset": ({"preset": "domainbet"}, "no preset 'domainbet'.*Did you mean 'domainbed'"),
    "a model": ({"model": "resnet8"}, "No model is called 'resnet8'"),
    "the name of a searched row": (
        {"selection": "oracle", "methods": {
            "ERM": {"method": "ERM", "search": {"training.lr": [1, 2]}}, "ERM (oracle)": "ERM"
        }},
        "'ERM \\(oracle\\)' is what the table calls a method.*another name",
    ),
    "no image size": ({"data": {"folder": "pets", "image_size": 0}}, "1 to 8192 pixels; got 0"),
    "what is searched": (
        {"methods": {"EGAT": {"method": "EGAT", "search": {"stability": [1]}}}},
        r"method.OPTION, training.OPTION, awp or gradient_penalty in methods.EGAT.*got .stability.",
    ),
    "a searched option": (
        {"methods": {"EGAT": {"method": "EGAT", "search": {"method.stabilty": [1, 2]}}}},
        "no option 'stabilty'",
    ),
    "a searched option of a value": (
        {"methods": {"EGAT": {
            "method": {"class_path": "EGAT", "init_args": {"stability": 1}},
            "search": {"method.stability.x": [1, 2]},
        }}},
        "methods.EGAT has 1.0 for stability, which is a value without options: correct "
        "method.stability.x under search",
    ),
    "a searched option of what has none": (
        {"methods": {"AT": {"method": "AT", "search": {
            "method.attack": [{"class_path": "PGD", "init_args": 5}], "method.attack.eps": [0.1],
        }}}},
        r"Expected {class_path: NAME, init_args: {...}} for methods.AT.attack, got .*: 5}",
    ),
    "a searched option of training": (
        {"methods": {"EGAT": {"method": "EGAT", "search": {"training.rate": [1, 2]}}}},
        "no option 'rate'",
    ),
    "draws without end": (
        {"methods": {"ERM": {"method": "ERM", "search": {"training.lr": {"low": 1, "high": 2}}}},
         "trials": 10**10},
        "each with 10000000000 trials",
    ),
    "combinations without end": (
        {"methods": {"EGAT": {"method": "EGAT", "search": {
            f"training.{name}": list(range(18)) for name in ("lr", "clip", "momentum", "ema")
        }}}},
        "each with 104976 trials",
    ),
    "a range": (
        {"methods": {"ERM": {"method": "ERM", "search": {"training.lr": {"low": 1, "high": 0}}}}},
        "from low to a higher high",
    ),
    "leave one out of one": (
        {"methods": {"ERM": {"method": "ERM", "search": {"training.lr": [1, 2]}}},
         "selection": "leave_one_out"},
        "without each training domain in turn",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("options", "says"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_one_line_before_any_job(write, options, says):
    path = write(**options)
    with pytest.raises(UserError, match=says) as caught:
        _do(path)
    assert "\n" not in str(caught.value)
    assert not (path.parent / "out").exists()


def _do(path: Path) -> None:
    cli.run(["benchmark", str(path), "--output", str(path.parent / "out")])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("methods: [", "cannot be read .*no YAML"),
        ("methods:\n\tERM:", "cannot be read .*no YAML"),
        ("methods: *a", "cannot be read .*undefined alias"),
        ("methods: &a {ERM: *a}", "cannot be read .*more than 50 levels"),
        ("methods:\n  ERM:\n  AT:\n  ERM: AT", "'ERM' stands twice in the mapping from line 2"),
        ("", "Expected lines such as 'methods:'"),
        ("just text", "Expected lines such as 'methods:'"),
        (None, "cannot be read .*No such file"),
    ],
)
def test_what_is_no_file_of_a_benchmark_is_one_line(tmp_path, text, says):
    path = tmp_path / "trial.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=says):
        _do(path)


@pytest.mark.parametrize(
    "options",
    [
        {"methods": {"mine": {"class_path": "own_parts.OwnMethod"}}},
        {"model": "models_for_tests:tiny"},
        {"training": {"augment": "own_parts.OwnAugment"}},
        {
            "methods": {
                "EGAT": {"method": "EGAT", "search": {"method.guide": ["own_parts.OwnGuide"]}}
            }
        },
        {"methods": {"ERM": {"method": "ERM", "training": {"optimizer": "own_parts.adam"}}}},
    ],
    ids=["method", "model", "augment", "search", "optimizer"],
)
def test_code_of_its_own_needs_trust(write, options):
    path = write(**options)
    with pytest.raises(UserError, match="--trust_config"):
        _do(path)


def test_a_trusted_file_may_name_code(write):
    path = write(methods={"mine": {"class_path": "models_for_tests.OwnMethod"}})
    with pytest.raises(UserError, match="no method 'OwnMethod' in the module"):
        read_benchmark(path, trusted=True)
    config = path.parent / "config.yaml"
    config.write_text(f"file: {path}\ntrust_config: true\n")
    with pytest.raises(UserError, match="say --trust_config yourself"):
        cli.run(["benchmark", "--config", str(config)])


def search(write, selection="in_distribution", **options):
    """Rows whose first trial cannot learn."""
    methods = {"ERM": {"method": "ERM", "search": {"training.lr": [1e-9, 0.01]}}}
    return write(methods=methods, selection=selection, **options)


def test_draws_are_known_by_name_and_number(write):
    def drawn(trials, **search):
        methods = {"EGAT": {"method": "EGAT", "search": search}}
        entries = opened(write(methods=methods, trials=trials)).entries("EGAT")
        return [(each.options.get("lr"), each.method.keywords.get("clean")) for each in entries]

    rate = {"training.lr": {"low": 1e-4, "high": 1e-2, "log": True}}
    both = rate | {"method.clean": {"low": 0, "high": 1}}
    few, many = drawn(2, **both), drawn(4, **both)
    assert many[:2] == few
    assert len(set(many)) == 4
    assert all(1e-4 <= lr <= 1e-2 and 0 <= clean <= 1 for lr, clean in many)
    assert all(clean != pytest.approx((math.log10(lr) + 4) / 2) for lr, clean in many)
    alone = drawn(4, **{"method.clean": both["method.clean"]})
    assert [clean for _, clean in alone] == [clean for _, clean in many]
    listed = drawn(2, **rate, **{"method.clean": [0, 0.5, 0.5]})
    assert [clean for _, clean in listed] == [0, 0, 0.5, 0.5]


def test_what_is_said_of_a_method_is_on_the_page_as_the_file_says_it_now(write):
    def told(about: str) -> Path:
        steady = {"method": "FastAT", "about": about}
        return run(write(only=["ink"], methods={"ERM": None, "steady": steady}))

    folders = set(told("One step, *quickly*.").iterdir())
    output = told("A single step.")
    assert set(output.iterdir()) == folders, "nothing was trained anew"
    page, table = (output / name for name in ("report.html", "table.md"))
    assert "<dt>steady</dt><dd>A single step.</dd>" in page.read_text()
    assert "\n- steady: A single step.\n" in table.read_text()
    assert "quickly" not in page.read_text() + table.read_text()


def checked(path: Path) -> None:
    """What is looked at before the first job."""
    benchmark = opened(path)
    data = benchmark.load()
    check(benchmark, rows(benchmark, benchmark.grid(data, "")), data, path.parent / "out")


TWO = {"scheme": "leave_one_domain_out", "only": ["ink"]}
RATES = {"training.lr": [1, 2]}
MASKED = {"class_path": "MaskAlignment", "init_args": {"guide": "HumanMask"}}
REST = "without oil, as selection leave_one_out trains: "


@pytest.mark.filterwarnings("ignore:.*no images of dog:UserWarning")
def test_the_trainings_that_choose_are_looked_at_for_a_class(write, tmp_path):
    folder = planted(tmp_path / "set", DOMAINS, n=40)
    shutil.rmtree(folder / "wax" / "dog")
    data = {"folder": "set", "image_size": 8}

    def searched(selection: str, **more) -> Path:
        methods = {"ERM": {"method": "ERM", "search": RATES}}
        return write(methods=methods, selection=selection, data=data | more, **TWO)

    with pytest.raises(UserError, match=f"^{REST}Expected .* part of wax; .* none of dog"):
        checked(searched("leave_one_out"))
    checked(searched("leave_one_out", incomplete=True))
    checked(searched("in_distribution"))


@pytest.mark.parametrize(
    ("method", "says"),
    [("CORAL", "CORAL compares .*; got wax"), (MASKED, "MaskAlignment .*needs masks, and none")],
)
def test_the_trainings_that_choose_are_looked_at_with_their_method(write, tmp_path, method, says):
    images = planted(tmp_path / "set" / "images", DOMAINS)
    shutil.rmtree(planted_masks(tmp_path / "set" / "masks", images) / "wax")
    data = {"folder": "set", "images": "images", "masks": "masks", "image_size": 8}

    def row(selection: str, **search) -> Path:
        methods = {"row": {"method": method, "search": search}}
        return write(methods=methods, selection=selection, data=data, **TWO)

    with pytest.raises(UserError, match=f"^row: {REST}{says}"):
        checked(row("leave_one_out", **RATES))
    checked(row("in_distribution", **RATES))
    checked(row("leave_one_out"))


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    "base", [None, {"attack": {"class_path": "PGD", "init_args": {"steps": 2}}}]
)
def test_a_thing_and_its_own_options_are_searched_together(write, order, base):
    """In whatever order they are written; the options are those of each of the things."""
    fgsm = {"class_path": "FGSM", "init_args": {"norm": "L2"}}
    search = {"method.attack": ["PGD", fgsm], "method.attack.eps": [0.1, 0.2]}
    search = dict([*search.items()][::order])
    at = {"class_path": "AT", "init_args": base or {}}
    entries = opened(write(methods={"AT": {"method": at, "search": search}})).entries("AT")
    attacks = {each.method.keywords["attack"] for each in entries}
    assert attacks == {PGD(0.1), PGD(0.2), FGSM(0.1, L2()), FGSM(0.2, L2())}


@pytest.mark.parametrize(
    ("selection", "scheme", "trained"),
    [
        ("in_distribution", "single_source", 2),
        ("oracle", "single_source", 2),
        ("leave_one_out", "leave_one_domain_out", 5),
    ],
)
def test_the_best_trial_is_chosen_and_alone_evaluated(write, selection, scheme, trained, capsys):
    path = search(write, selection, scheme=scheme, only=["ink"], training={"epochs": 4})
    output = run(path)
    assert len(list(output.glob("erm-*"))) == trained
    (result,) = results(output)
    (folder,) = {each.parents[2] for each in output.glob("*/jobs/evaluation-*/result.json")}
    assert Run(folder).settings.lr == 0.01
    assert result.name == ("ERM (oracle)" if selection == "oracle" else "ERM")
    printed = " ".join(capsys.readouterr().out.split())
    told = [(output / name).read_text() for name in TABLES]
    for text in (printed, *told):
        assert (ORACLE in text) == (selection == "oracle")


@pytest.mark.parametrize("given", [None, {"class_path": "FGSM", "init_args": {"eps": 0.5}}])
@pytest.mark.parametrize("selection", ["in_distribution", "leave_one_out"])
def test_all_trials_are_scored_alike(write, given, selection):
    """Whatever ball they train in, and whether they balance classes."""
    method = {"class_path": "AT", "init_args": {"attack": {"class_path": "PGD"}}}
    search = {"method.attack.eps": [0.01, 0.1], "training.balance_classes": [True, False]}
    path = write(
        methods={"AT": {"method": method, "search": search}, "ERM": None},
        selection=selection,
        scheme="leave_one_domain_out",
        training={"validation_attack": given} if given else {},
        evaluation={"ball": {"eps": 0.05}},
    )
    searched, plain = rows_of(opened(path))[:2]
    scored = [job for trial in searched.trials for job in searched.scorings(trial)]
    assert len(searched.trials) == 4
    assert {job.attack for job in scored} == {FGSM(0.5) if given else PGD(0.05, 10)}
    assert all(job.balance for job in scored)
    assert not plain.scorings(plain.trials[0])[0].balance


@pytest.mark.parametrize(
    ("file", "own", "left"),
    [
        ({"steps": 9, "validate_every": 3}, {"epochs": 2}, {"steps": None, "validate_every": None}),
        ({"epochs": 9, "validate_every": 3}, {"steps": 2}, {"validate_every": None}),
        ({"steps": 9, "validate_every": 3}, {"steps": 2}, {}),
        ({"domain_batch_size": 9}, {"batch_size": 2}, {"domain_batch_size": None}),
        ({"epochs": 9, "lr": 0.5}, {"epochs": 2}, {}),
        ({"epochs": 9, "validate_every": 3}, {"epochs": 2}, {}),
        ({"steps": None, "validate_every": 3}, {"steps": 2}, {"validate_every": None}),
    ],
)
def test_a_methods_own_options_go_before_those_of_the_file_that_mean_the_same(
    write, file, own, left
):
    searched = {f"training.{name}": [value] for name, value in own.items()}
    for said in ({"training": own}, {"search": searched}):
        path = write(methods={"ERM": {"method": "ERM", **said}}, training=file)
        (entry,) = opened(path).entries("ERM")
        assert entry.options == own | left


def _views(**changed) -> Augment:
    """The augmentation of the preset domainbed, changed."""
    return replace(preset("domainbed").options["augment"], **changed)


@pytest.mark.parametrize(
    ("name", "file", "own", "searched", "found"),
    [
        ("domainbed", {"grey": 0}, None, None, _views(grey=0.0)),
        ("domainbed", None, {"grey": 0}, None, _views(grey=0.0)),
        ("domainbed", None, None, {"grey": 0}, _views(grey=0.0)),
        ("domainbed", {"grey": 0}, {"crop": 0.5}, {"flip": False},
         _views(grey=0.0, crop=0.5, flip=False)),
        ("domainbed", False, {"grey": 0.2}, None, Augment(grey=0.2)),
        ("domainbed", {"grey": 0}, {"class_path": "Augment", "init_args": {"crop": 0.5}}, None,
         Augment(crop=0.5)),
        ("domainbed", {"grey": 0}, True, None, Augment()),
        ("domainbed", {"grey": 0}, False, None, None),
        ("", {"grey": 0.2}, {"crop": 0.5}, None, Augment(grey=0.2, crop=0.5)),
        ("", None, {"crop": 0.5}, {"grey": 0.2}, Augment(grey=0.2, crop=0.5)),
    ],
)  # fmt: skip
def test_a_part_of_an_augmentation_changes_the_one_below(write, name, file, own, searched, found):
    """That of the method goes over the file's, and that over the preset's."""
    row = {"method": "ERM"}
    row |= {"training": {"augment": own}} if own is not None else {}
    row |= {"search": {"training.augment": [searched]}} if searched else {}
    said = FILE["training"] | ({"augment": file} if file is not None else {})
    small = {"model": "small_resnet", "pretrained": False}
    path = write(preset=name, methods={"ERM": row}, training=said, **small)
    first = rows_of(opened(path))[0]
    assert first.training(first.trials[0]).settings.augment == found


def test_oracle_judges_on_no_image_that_chose(write):
    path = search(
        write, "oracle", only=["ink"], evaluation={"only": True, "stages": {"answers": {}}}
    )
    output = run(path)
    (result,) = results(output)
    data = opened(path).load()
    parts = {domain: list(data.parts(domain)) for domain in DOMAINS}
    assert result.domains["ink"].n == parts["ink"].count("test")
    for domain in ("oil", "wax"):
        assert result.domains[domain].n == len(parts[domain]) - parts[domain].count("validation")
