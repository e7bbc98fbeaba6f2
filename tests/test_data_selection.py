"""Some classes of a data set: the same samples with the same keys, in another order of classes."""

import torch

from lookright.batch import Batch
from lookright.data import Folder, ImageData, Selected, Shortcut
from lookright.data.dataset import part_of


class Pets(ImageData):
    """Two domains; the second has no dogs. A pixel tells the sample."""

    name, classes, domains, image_size = "pets", ("cat", "dog", "owl"), ("photo", "sketch"), 4
    has_masks = False

    def __init__(self):
        self.seed = 3

    def keys(self, domain):
        return [f"{domain}/{index}" for index in range(6)]

    def samples(self, domain, indices):
        at = torch.as_tensor(indices)
        labels = at % 3 if domain == "photo" else at % 2 * 2
        images = (at / 10).view(-1, 1, 1, 1).expand(-1, 3, 4, 4)
        return Batch(images, labels, torch.full_like(at, self.domains.index(domain)))


def test_samples_keep_their_keys_and_get_new_labels():
    data = Selected(Pets(), ("owl", "dog"))
    assert data.classes == ("owl", "dog")
    assert data.domains == ("photo", "sketch")
    assert data.keys("photo") == ["photo/1", "photo/2", "photo/4", "photo/5"]
    assert data.labels("photo") == [1, 0, 1, 0]
    batch = data.samples("sketch", [2, 0])
    assert batch.labels.tolist() == [0, 0]
    assert batch.domains.tolist() == [1, 1]
    torch.testing.assert_close(batch.images[:, 0, 0, 0], torch.tensor([0.5, 0.1]))
    assert data.data.seed == 3


def test_a_domain_without_the_classes_is_left_out():
    data = Selected(Pets(), ("dog", "bird"))
    assert data.domains == ("photo",)
    assert data.samples("photo", [0, 1]).labels.tolist() == [0, 0]
    assert data.samples("photo", [0]).domains.tolist() == [0]


def test_a_fingerprint_follows_from_options_and_classes():
    names = [Pets().fingerprint("photo"), Pets().fingerprint("sketch")]
    names += [Selected(Pets(), classes).fingerprint("photo") for classes in (("cat", "dog"), "ab")]
    names += [Shortcut(strength=strength).fingerprint("train") for strength in (0.9, 0.5)]
    assert len(set(names)) == 6
    assert Shortcut().fingerprint("train") == names[4]
    pets = Pets()
    pets.view = lambda image: image  # says another address in every process
    assert pets.fingerprint("photo") == names[0]


def test_parts_stay_as_they_were():
    whole, data = Shortcut(), Selected(Shortcut(), ("3", "1"))
    for part in ("train", "validation", "test"):
        wanted = [
            key
            for key, label in zip(whole.keys("noisy"), whole.labels("noisy"), strict=True)
            if label in (1, 3) and part_of(key) == part
        ]
        keys = data.keys("noisy")
        assert [keys[at] for _, at in data.split("noisy", part).where] == wanted
    assert data.data.strength == whole.strength
    assert all(data.masked("noisy"))


def test_labels_agree_with_the_samples(tmp_path):
    from PIL import Image

    for name in ("cat", "dog"):
        for index in range(3):
            path = tmp_path / name / f"{index}.png"
            path.parent.mkdir(exist_ok=True)
            Image.new("RGB", (8, 8)).save(path)
    for data in (Shortcut(), Folder(tmp_path, 8), Pets()):
        for domain in data.domains:
            everything = data.samples(domain, range(len(data.keys(domain))))
            assert list(data.labels(domain)) == everything.labels.tolist()
