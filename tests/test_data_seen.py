"""Images of a training are found by what they show, wherever they lie and whatever the names."""

import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning import Callback
from PIL import Image
from rich.progress import Progress
from torch.utils.data import TensorDataset

from lookright.claims import Plan
from lookright.claims.plan import draw
from lookright.data import Folder, Seen, Shortcut, load_data
from lookright.errors import UserError
from lookright.evaluation import Protocol, evaluate
from lookright.evaluation.table import read_table
from lookright.jobs.training import Training
from lookright.loading import load_subject, tell_apart
from lookright.methods import ERM
from lookright.model_options import ModelOptions
from lookright.models import SmallResNet, build_model, load_classifier
from lookright.training import Run, fit
from lookright.verbs.claim import claim as claim_verb
from lookright.verbs.evaluate import evaluate as evaluate_verb
from lookright.verbs.train import train
from tiny import newest, tiny_classifier

CLASSES = ("cat", "dog")
STAGES = Protocol(stages=())


@pytest.fixture(autouse=True)
def _narrow(monkeypatch):
    monkeypatch.setattr(SmallResNet.__init__, "__defaults__", (4,))


def paint(folder: Path, count: int = 20, seed: int = 0) -> Path:
    """<class>/*.png, all different."""
    random = np.random.default_rng(seed)
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        for index in range(count):
            pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index}.png")
    return folder


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.png"))


@pytest.fixture
def hospital(tmp_path) -> Folder:
    """Photographs in a folder called images."""
    return Folder(paint(tmp_path / "hospitalA" / "images"), 8)


@pytest.fixture
def run(hospital, tmp_path) -> Run:
    model = build_model("small_resnet", CLASSES, 8)
    return fit(ERM(model), hospital, "images", tmp_path / "run", epochs=1, progress=False)


def test_only_the_content_of_a_file_decides_its_part(tmp_path):
    root = paint(tmp_path / "one")
    before = Folder(root, 8)
    parts = dict(zip(before.keys("one"), before.parts("one"), strict=True))
    for index, path in enumerate(files(root)):
        path.rename(path.with_name(f"renamed {index}.png"))
    root.rename(tmp_path / "two")
    after = Folder(tmp_path / "two", 8)
    assert dict(zip(after.keys("two"), after.parts("two"), strict=True)) == parts
    assert set(parts.values()) == {"train", "validation", "test"}


def test_copies_are_in_one_part(tmp_path):
    root = paint(tmp_path / "one")
    for path in files(root):
        shutil.copy(path, path.with_name(f"copy of {path.name}"))
    data = Folder(root, 8)
    found = {}
    for key, part in zip(data.keys("one"), data.parts("one"), strict=True):
        found.setdefault(key, []).append(part)
    assert all(len(parts) == 2 and len(set(parts)) == 1 for parts in found.values())


def test_keys_are_the_same_before_and_after_the_check(tmp_path):
    root = paint(tmp_path / "one", 3)
    (root / "cat" / "0.png").write_bytes(b"no image")
    early = Folder(root, 8, skip_unreadable=False, read=False)
    keys = list(early.keys("one"))
    with pytest.warns(UserWarning, match="Left out 1"):
        late = Folder(root, 8, skip_unreadable=True)
    assert keys[1:] == list(late.keys("one"))
    assert list(late.contents("one")) == list(late.keys("one"))
    assert late.names("one")[0] == "cat/1.png"


def test_a_run_knows_what_it_was_trained_on(run, hospital):
    parts = [hospital.split("images", part) for part in ("train", "validation")]
    assert run.seen == Seen.of(parts) == Seen.in_domains(hospital, ["images"])
    assert len(run.seen.home) == 40
    assert len(run.seen.scenes) == sum(map(len, parts)) < 40
    (run.folder / "seen.json.gz").write_bytes(b"no")
    with pytest.raises(UserError, match=r"seen.json.gz is damaged"):
        assert run.seen


def judged(run: Run, root: Path, **options):
    data = load_data(root, 8)
    return evaluate(
        run.model(), data, seen=run.seen, protocol=STAGES, progress=False, **options
    ).domains


def test_another_folder_of_the_same_name_is_unseen(run, tmp_path):
    root = paint(tmp_path / "hospitalB" / "images", seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = judged(run, root)["images"]
    assert (found.n, found.in_distribution) == (40, False)
    assert not [told for told in found.warnings if "training domains" in told]


@pytest.mark.parametrize("how", ["moved", "copied", "renamed", "sorted into domains"])
def test_the_images_of_training_are_found_wherever_they_lie(run, hospital, tmp_path, how):
    test = len(hospital.split("images", "test"))
    root = hospital.root
    if how == "moved":
        root = root.rename(tmp_path / "elsewhere")
    if how == "copied":
        root = Path(shutil.copytree(root, tmp_path / "copy"))
    if how == "renamed":
        for index, path in enumerate(files(root)):
            path.rename(path.with_name(f"{index}-new.png"))
    if how == "sorted into domains":
        root = Path(shutil.copytree(root, tmp_path / "sorted" / "a")).parent
    (found,) = judged(run, root).values()
    assert (found.n, found.in_distribution) == (test, True)


def test_images_of_training_in_another_domain_are_left_out_and_told(run, hospital, tmp_path):
    root = paint(tmp_path / "hospitalB" / "images", seed=1)
    for path in files(hospital.root)[:9]:
        shutil.copy(path, root / path.parent.name / f"from-a-{path.name}")
    with pytest.warns(UserWarning, match="Domain 'images' of images: 9 of the 49 images are also"):
        found = judged(run, root, save=tmp_path / "result")["images"]
    assert (found.n, found.in_distribution) == (40, False)
    assert "9 of the 49 images are also in the training domains" in found.warnings[0]
    images = read_table(tmp_path / "result")["images"]["image"]
    assert len(images) == 40
    assert not [name for name in images if "from-a" in name]


def test_a_domain_of_which_most_was_trained_on_says_how_much_is_not(run, hospital, tmp_path):
    more = paint(tmp_path / "more", 5, seed=2)
    for path in files(more):
        shutil.copy(path, hospital.root / path.parent.name / f"more-{path.name}")
    with pytest.warns(UserWarning, match="10 of the 50 images are of no training domain"):
        found = judged(run, hospital.root)["images"]
    assert found.in_distribution
    assert found.n == len(hospital.split("images", "test")) + 10


def test_a_folder_of_nothing_but_trained_images_is_refused(run, hospital, tmp_path):
    root = tmp_path / "training"
    for _, index in hospital.split("images", "train").where:
        source = hospital.root / hospital.names("images")[index]
        (root / source.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(source, root / source.parent.name)
    with pytest.raises(UserError, match=r"trained or validated on all \d+ images of domain"):
        judged(run, root)


def test_all_images_of_a_training_with_its_own_validation_are_seen(hospital, tmp_path):
    held_out = Folder(paint(tmp_path / "held", seed=3), 8)
    method = ERM(tiny_classifier(data=hospital))
    options = {"validation": held_out, "epochs": 1, "progress": False}
    run = fit(method, hospital, run=tmp_path / "run", **options)
    for data, domain in ((hospital, "images"), (held_out, "held")):
        assert run.seen.unseen(data, domain) == []


def test_a_claim_draws_no_image_of_the_training(run, hospital, tmp_path):
    copy = Folder(shutil.copytree(hospital.root, tmp_path / "copy"), 8)
    test = [at for _, at in hospital.split("images", "test").where]
    drawn = draw(copy, Plan("copy", n=len(test)), (), seen=run.seen)
    assert sorted(drawn.where) == test


def test_a_subject_takes_its_images_from_the_run(run, tmp_path):
    other = paint(tmp_path / "hospitalB" / "images", seed=1)
    subject = load_subject(str(run.folder), str(other))
    assert subject.seen == run.seen
    assert subject.train_domains == ("images",)


@pytest.fixture
def domains(tmp_path) -> Folder:
    """Photographs and sketches."""
    for seed, name in enumerate(("photo", "sketch")):
        paint(tmp_path / "pets" / name, seed=seed)
    return Folder(tmp_path / "pets", 8)


@pytest.fixture
def everywhere(domains, tmp_path) -> Run:
    """A training on both domains."""
    method = ERM(build_model("small_resnet", CLASSES, 8))
    return fit(method, domains, (), tmp_path / "before", epochs=1, seed=3, progress=False)


@pytest.mark.parametrize("how", ["best", "last", "by weights", "by a link"])
def test_a_file_of_a_run_knows_what_the_run_was_trained_on(everywhere, domains, tmp_path, how):
    file, options = everywhere.last if how == "last" else everywhere.best, ModelOptions()
    named = str(file)
    if how == "by weights":
        named, options = "small_resnet", ModelOptions(weights=file, image_size=8)
    if how == "by a link":
        (tmp_path / "mine.safetensors").symlink_to(file)
        named = str(tmp_path / "mine.safetensors")
    subject = load_subject(named, str(domains.root), options)
    assert subject.seen == everywhere.seen
    assert (subject.train_domains, subject.seed) == (("photo", "sketch"), None)


def test_two_files_of_one_name_are_no_seeds_of_one_method(everywhere, run, domains):
    files = [str(each.best) for each in (everywhere, run)]
    with pytest.raises(UserError, match="Two models are called best: name each by --names"):
        tell_apart([load_subject(file, str(domains.root)) for file in files])


def test_a_file_of_a_run_is_judged_and_claimed_on_the_images_left_for_a_test(
    everywhere, domains, tmp_path, capsys
):
    test = {domain: len(domains.split(domain, "test")) for domain in domains.domains}
    given = {"data": str(domains.root), "output": tmp_path / "out"}
    evaluate_verb([str(everywhere.last)], protocol=STAGES, **given)
    said = capsys.readouterr().err
    assert "note: It is not known" not in said
    assert "unseen" not in said
    found = newest(tmp_path / "out" / "last").domains
    assert {domain: here.n for domain, here in found.items()} == test
    with pytest.raises(UserError, match=f"has {test['photo']} images that can be drawn"):
        claim_verb(str(everywhere.last), n=40, **given)


def test_of_other_weights_it_is_said_that_their_images_are_not_known(
    everywhere, domains, tmp_path, capsys
):
    copies = [str(tmp_path / f"{name}.safetensors") for name in ("one", "two")]
    for copy in copies:
        shutil.copy(everywhere.best, copy)
    given = {"data": str(domains.root), "output": tmp_path / "out"}
    evaluate_verb(copies, protocol=STAGES, **given)
    said = capsys.readouterr().err
    assert said.count("It is not known") == 1
    assert "note: It is not known which images trained one, two, so none is left out" in said
    assert said.count("unseen") == 1
    found = newest(tmp_path / "out" / "one").domains
    assert {here.n for here in found.values()} == {40}
    with pytest.raises(UserError, match="has 40 images that can be drawn"):
        claim_verb(copies[0], n=41, **given)
    assert capsys.readouterr().err.count("It is not known which images trained one, so") == 1


def test_the_images_of_the_weights_that_a_training_began_with_are_seen(
    everywhere, domains, tmp_path
):
    given = {"image_size": 8, "epochs": 1, "accelerator": "cpu"}
    options = given | {"test_domain": ["sketch"], "weights": everywhere.best}
    with pytest.warns(UserWarning, match=re.escape(
        "40 of the 40 images of domain 'sketch' are also in the training domains of "
        f"{everywhere.folder}, whose weights it begins with: the model is not judged on those of "
        "them that it was trained or validated on there."
    )):  # fmt: skip
        train(ERM, str(domains.root), run=tmp_path / "tuned", **options)
    tuned = Run(tmp_path / "tuned")
    assert tuned.config["settings"]["init_args"]["domains"] == ["photo"]
    assert tuned.seen == everywhere.seen != Seen.in_domains(domains, ["photo"])
    found = judged(tuned, domains.root)["sketch"]
    assert (found.n, found.in_distribution) == (len(domains.split("sketch", "test")), True)

    other = Folder(paint(tmp_path / "other", seed=5), 8)
    job = Training("again", ERM, other, ("other",), weights=tuned.last, options={"epochs": 1})
    with Progress(disable=True) as progress:
        job.work(tmp_path / "again", progress)
    assert Run(tmp_path / "again").seen == everywhere.seen | Seen.in_domains(other, ["other"])


def test_a_network_that_was_trained_before_takes_its_images_along(everywhere, hospital, tmp_path):
    own, once = Seen.in_domains(hospital, ["images"]), {"epochs": 1, "progress": False}
    loaded = ERM(load_classifier(everywhere.best))
    assert fit(loaded, hospital, run=tmp_path / "loaded", **once).seen == everywhere.seen | own
    shutil.copy(everywhere.best, tmp_path / "copy.safetensors")
    copied = ERM(load_classifier(tmp_path / "copy.safetensors"))
    first = fit(copied, hospital, run=tmp_path / "first", **once)
    assert first.seen == own
    other = Folder(paint(tmp_path / "other", seed=5), 8)
    second = fit(copied, other, run=tmp_path / "second", **once)
    assert second.seen == own | Seen.in_domains(other, ["other"])


class Killed(Callback):
    def on_train_epoch_start(self, trainer, module):
        if trainer.current_epoch == 1:
            raise RuntimeError("killed")


@pytest.mark.parametrize("known", [True, False])
def test_a_training_from_weights_of_a_run_goes_on(everywhere, hospital, tmp_path, known):
    def go(classifier, **options):
        given = {"epochs": 2, "progress": False, **options}
        return fit(ERM(classifier), hospital, run=tmp_path / "tuned", **given)

    begun = load_classifier(everywhere.best)
    if not known:
        begun.file = None
    with pytest.raises(RuntimeError, match="killed"):
        go(begun, callbacks=[Killed()])
    seen = Run(tmp_path / "tuned").seen
    resumed = go(load_classifier(everywhere.best), resume=True)
    assert resumed.finished
    assert resumed.seen == seen
    assert (everywhere.seen.scenes <= seen.scenes) is known


def test_images_in_memory_are_known_by_their_pixels(tmp_path):
    pixels = torch.randint(0, 256, (40, 3, 8, 8), dtype=torch.uint8)
    data = TensorDataset(pixels, torch.arange(40) % 3)
    model = tiny_classifier()
    run = fit(ERM(model), data, run=tmp_path / "run", epochs=1, progress=False)
    mixed = (torch.cat([pixels[:15], 255 - pixels]), torch.arange(55) % 3)
    with pytest.warns(UserWarning, match="15 of the 55 images"):
        found = evaluate(model, mixed, seen=run.seen, protocol=STAGES, progress=False)
    assert found.domains["data"].n == 40


def test_a_scene_of_another_domain_is_no_image_of_training():
    data = Shortcut()
    seen = Seen.in_domains(data, ["train"])
    assert [seen.in_distribution(data, domain) for domain in ("train", "reversed")] == [True, False]
    test = [at for _, at in data.split("train", "test").where]
    assert seen.unseen(data, "train") == seen.unseen(data, "reversed") == test
    assert seen.note(data, "reversed") is None
    assert not seen.in_distribution(Shortcut(strength=0.5), "train")
    assert seen.in_distribution(Shortcut(64), "train")


@pytest.mark.parametrize("tested", [["b"], None])
def test_a_leak_is_told_before_training(tmp_path, monkeypatch, tested):
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "data"
    paint(root / "a")
    paint(root / "b", seed=1)
    shutil.copy(root / "a" / "cat" / "3.png", root / "b" / "dog" / "leaked.png")
    told: list[str] = []
    monkeypatch.setattr("lookright.verbs.train.fit", lambda *args, **options: told.append("fit"))
    with (
        pytest.warns(UserWarning, match=re.escape("1 of the 41 images of domain 'b' are also in")),
        pytest.raises(AttributeError),
    ):
        train(ERM, str(root), ["a"], tested, image_size=8)
    assert told == ["fit"]
