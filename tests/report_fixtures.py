"""Plausible result folders for the report's tests, without any training."""

import json
from pathlib import Path

import numpy as np

from lookright.evaluation.table import write_table

# method: (clean accuracy by domain, share of it that survives the attack, localisation, stability)
METHODS = {
    "ERM": ((0.98, 0.70, 0.21), 0.02, 0.22, 0.43),
    "AT": ((0.975, 0.92, 0.84), 0.80, 0.36, 0.66),
    "EGAT, term off": ((0.985, 0.93, 0.85), 0.79, 0.37, 0.68),
    "EGAT": ((0.986, 0.94, 0.88), 0.82, 0.45, 0.86),
}
# Those that learn a mask: its mass on the object, its IoU and the share of the image it covers.
LEARNED = {"ALIGN": (0.49, 0.54, 0.20), "EGAT, ALIGN mask": (0.45, 0.50, 0.31)}
SHARES = [0, 0.01, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1]
# Share of the accuracy that each severity costs.
CORRUPTIONS = {
    "gaussian_noise": 0.20, "shot_noise": 0.19, "impulse_noise": 0.21, "defocus_blur": 0.12,
    "glass_blur": 0.13, "motion_blur": 0.10, "zoom_blur": 0.09, "snow": 0.15, "frost": 0.14,
    "fog": 0.12, "brightness": 0.03, "contrast": 0.11, "elastic_transform": 0.07,
    "pixelate": 0.06, "jpeg_compression": 0.05,
}  # fmt: skip
GOALS = ("topk", "centre", "target")
DOMAINS = ("train", "recoloured", "reversed")
AREA = 0.14
N = 300


def rate(value, n=N):
    half = 1.96 * (max(value * (1 - value), 1e-3) / n) ** 0.5
    return {
        "value": round(value, 4),
        "low": round(max(value - half, 0), 4),
        "high": round(min(value + half, 1), 4),
        "n": n,
    }


def counts(better, worse=None, n=N):
    """Counts of a sign test; without `worse` there are no ties."""
    return {"better": better, "worse": n - better if worse is None else worse, "n": n}


def score(value, half=0.01, n=N):
    return {"value": value, "low": value - half, "high": value + half, "n": n}


def result_json(name, seed=0, domains=DOMAINS, shift=0.0, full=True):
    """full: with all that results have; otherwise as results were before those came."""
    clean, kept, mass, stability = METHODS.get(name, METHODS["EGAT"])
    body = {}
    for d, domain in enumerate(domains):
        accuracy = clean[d % 3] + shift
        adversarial = accuracy * kept
        mass_here, still = mass - 0.03 * d + shift, stability - 0.04 * d + shift
        body[domain] = {
            "n": N,
            "in_distribution": d == 0,
            "measures": {
                "accuracy": rate(accuracy),
                "auc": score(min(accuracy + 0.01, 1)),
                "accuracy_fgsm": rate(min(adversarial + 0.05, accuracy)),
                "accuracy_pgd": rate(adversarial + 0.005),
                "accuracy_adversarial": rate(adversarial),
                "sufficiency_blur": score(0.57 - mass_here / 4),
                "comprehensiveness_mean": score(0.6 + mass_here / 4),
                "localisation_mass": score(mass_here),
                "localisation_iou": score(mass_here + 0.1),
                "pointing_game": rate(min(mass_here * 1.8, 1)),
                "mask_area": score(AREA),
                "stability_cosine": score(still),
                "stability_spearman": score(still - 0.06),
                "stability_topk": score(still - 0.12),
                "degenerate_maps": rate(0.003),
            }
            | {
                key: score(value + shift)
                for key, value in zip(
                    ("mask_mass", "mask_iou", "mask_coverage"), LEARNED.get(name, ()), strict=False
                )
            },
            "stages": {
                "attacks": {
                    "eps": 8 / 255,
                    "norm": "LInf",
                    "curve": [
                        {"eps": e / 255, "accuracy": rate(accuracy * kept ** (e / 8))}
                        for e in (0, 1, 2, 4, 8, 12, 16)
                    ],
                }
            },
            "versions": {"lookright": "0.1.0", "torch": "2.6.0"},
            "revision": "0123456789abcdef0123456789abcdef01234567",
            "warnings": ["12% of the explanations are empty or constant."]
            if name == "AT" and d == 2 and seed == 0
            else [],
        }
        if full:
            body[domain]["stages"] |= trusted(name, d, body[domain], mass_here)
    return {
        "format": 2,
        "name": name,
        "seed": seed,
        "created": "2026-03-01T12:00:00Z",
        "classes": [str(k) for k in range(10)],
        "train_domain": [domains[0]],
        "config": {"method": name, "epochs": 20, "command": f"lookright train --seed {seed}"},
        "settings": settings(),
        "domains": body,
    }  # fmt: skip


def settings(**attacks):
    """The spec of a protocol, with these options of its attacks."""
    options = {"steps": 20, "restarts": 2, "curve": [4 / 255, 16 / 255]} | attacks
    return {
        "class_path": "lookright.evaluation.Protocol",
        "init_args": {
            "ball": {
                "class_path": "lookright.attacks.Ball",
                "init_args": {
                    "norm": {"class_path": "lookright.attacks.LInf", "init_args": {}},
                    "eps": 8 / 255,
                },
            },
            "explainer": {"class_path": "lookright.explainers.GradCAM", "init_args": {}},
            "stages": [
                {
                    "class_path": "lookright.evaluation.stages.attacks.Attacks",
                    "init_args": options,
                },
                {
                    "class_path": "lookright.evaluation.stages.explanations.Explanations",
                    "init_args": {"fills": ["blur", "mean"]},
                },
            ],
        },
    }


def trusted(name, d, judged, mass):
    """What domain d has besides: baselines and tests against them, removal, corruptions, checks.

    Of these the figures go into `judged`; what the stages tell comes back by their names.
    """
    clean, adversarial = (judged["measures"][k]["value"] for k in ("accuracy", "accuracy_pgd"))
    still = judged["measures"]["stability_cosine"]["value"]
    more, baselines, paired = {}, {"random": {}, "centre": {}}, {"random": {}, "centre": {}}
    more["accuracy_apgd"] = rate(adversarial - 0.003)
    more["accuracy_square"] = rate(min(adversarial + 0.08, clean))
    more["accuracy_autoattack"] = rate(max(adversarial - 0.012, 0))
    more["manipulated_topk"], more["manipulated_centre"] = (
        score(0.95 - still),
        score(0.55 - still / 2),
    )
    more["manipulated_target"], more["manipulated_kept"] = (
        score(0.8 - still / 2),
        rate(0.95 - still),
    )
    for f, fill in enumerate(("blur", "mean")):
        for baseline, gain in (("", mass / 2), ("random", mass / 20), ("centre", 0.13 - 0.04 * d)):
            here = baselines[baseline] if baseline else more
            here[f"sufficiency_{fill}"] = score(round(0.55 - gain - 0.03 * f, 3))
            here[f"comprehensiveness_{fill}"] = score(round(0.35 + gain + 0.05 * f, 3))
            here[f"deletion_{fill}"] = score(round(0.45 - gain - 0.05 * f, 3))
            here[f"insertion_{fill}"] = score(round(0.5 + gain, 3))
            if baseline:
                lead = counts(round(N * min(0.5 + 3 * (mass / 2 - gain), 1)))
                measures = ("sufficiency", "comprehensiveness", "deletion", "insertion")
                paired[baseline] |= {f"{measure}_{fill}": lead for measure in measures}
    for baseline, share in (("random", AREA), ("centre", AREA + 0.11)):
        baselines[baseline]["localisation_mass"] = score(round(share, 3))
        baselines[baseline]["pointing_game"] = rate(share)
    for baseline, same in (("random", 0.75), ("centre", 1)):
        for key in ("stability_cosine", "stability_spearman", "stability_topk"):
            baselines[baseline][key] = score(same)
        baselines[baseline]["stability_corrupted"] = score(same)
        baselines[baseline]["manipulated_topk"] = score(
            round(1.2 * (1 - same) + 0.6 * (same < 1), 3)
        )
    more["infidelity_blur"], more["max_sensitivity"] = score(0.02 + mass / 40), score(0.9 - still)
    more["randomisation_spearman"] = score(0.31)
    judged["measures"] = more | judged["measures"]
    failed = name == "AT" and d == 2
    judged |= {"baselines": baselines, "paired": paired}
    return {
        "explanations": [
            {"map": of, "kind": kind, "fill": fill, "shares": SHARES,
             **{end: [round(p + half, 4) for p in removal(kind, clean, gain + 0.3 * f)]
                for end, half in (("low", -0.03), ("probabilities", 0), ("high", 0.03))}}
            for of, gain in (("explanation", 2 + 6 * mass), ("random", 1.4), ("centre", 2.6))
            for kind in ("deletion", "insertion")
            for f, fill in enumerate(("blur", "mean"))
        ],
        "corruptions": [
            {"family": family, "severity": severity,
             "accuracy": rate(clean * (1 - lost * severity * (1.2 - still)), 100),
             "stability": score(round(1 - lost * severity * (1.3 - still), 3), n=100)}
            for family, lost in CORRUPTIONS.items() for severity in range(1, 6)
        ],
        "diagnostics": [
            {"name": "gradients", "verdict": "fine", "reason": "no gradient is zero"},
            {"name": "black box", "verdict": "suspect" if failed else "fine",
             "reason": "Square leaves 31.0% right, PGD 84.0%" if failed
             else "Square finds no image that PGD misses"},
            {"name": "size", "verdict": "fine", "reason": "at 64/255 0.3% are still right"},
        ],
        "explanation_attacks": list(GOALS),
        "claims": [
            {"claim": claim, "perturbation": "PGD of at most 8/255", "kept": int(kept * 300),
             "n": 300, "bound": round(max(kept - 0.05, 0), 4), "delta": 0.05, "family": 3,
             "similarity": None if claim == "prediction" else "cosine",
             "threshold": None if claim == "prediction" else 0.5}
            for claim, kept in (("prediction", adversarial), ("explanation", still),
                                ("both", adversarial * still))
        ],
    }  # fmt: skip


def removal(kind, clean, rate):
    """Falling from the clean probability as pixels are deleted, or rising to it."""
    floor = 0.1
    falls = [floor + (clean - floor) * np.exp(-rate * share) for share in SHARES]
    rises = [floor + (clean - floor) * (1 - np.exp(-rate * share)) for share in SHARES]
    return [round(float(p), 4) for p in (falls if kind == "deletion" else rises)]


def examples(name, domains=DOMAINS, count=4, side=32, coarse=8, classes=10, full=True):
    """A bright digit-like blob on a coloured texture; maps near it (EGAT) or beside it (ERM)."""
    mass = METHODS.get(name, METHODS["EGAT"])[2]
    arrays = {}
    for d, domain in enumerate(domains):
        draw = np.random.default_rng(d)
        labels = np.arange(count) % classes
        yy, xx = np.mgrid[:side, :side] / side
        cy, cx = draw.uniform(0.35, 0.65, (2, count, 1, 1))
        ring = np.hypot(yy - cy, (xx - cx) * 1.4)
        masks = ((ring < 0.26) & (ring > 0.12)).astype(np.uint8) * 255
        hue = draw.uniform(40, 170, (count, 1, 1, 3))
        texture = 30 * np.sin(20 * xx + 14 * yy)[None, ..., None]
        noise = draw.normal(0, 10, (count, side, side, 1))
        images = np.where(masks[..., None] > 0, 235, hue + texture + noise).clip(0, 255)
        own = np.random.default_rng(len(name) + d)
        sign = own.choice([-8, 8], images.shape)
        gy, gx = np.mgrid[:coarse, :coarse] / coarse
        away = (0.5 - mass) * 1.2

        def blob(offset, cy=cy, cx=cx, gy=gy, gx=gx):
            bump = np.exp(-((gy - cy - offset) ** 2 + (gx - cx + offset) ** 2) / 0.04)
            return (255 * bump / bump.max((1, 2), keepdims=True)).astype(np.uint8)

        wrong = own.random(count) > METHODS.get(name, METHODS["EGAT"])[0][d % 3]
        fooled = own.random(count) > METHODS.get(name, METHODS["EGAT"])[1]
        arrays |= {
            f"{domain}/images": images.astype(np.uint8),
            f"{domain}/attacks.attacked": (images + sign).clip(0, 255).astype(np.uint8),
            f"{domain}/saliency": blob(away),
            f"{domain}/attacks.saliency": blob(-2 * away),
            f"{domain}/masks": masks,
            f"{domain}/labels": labels,
            f"{domain}/predicted": (labels + wrong) % classes,
            f"{domain}/probability": own.uniform(0.5, 1, count).astype(np.float32),
            f"{domain}/attacks.predicted": (labels + 3 * fooled) % classes,
            f"{domain}/attacks.probability": own.uniform(0.3, 1, count).astype(np.float32),
        }
        if full:
            nudge = own.choice([-8, 8], (count, len(GOALS), side, side, 3))
            manipulated = [blob(away + by * (0.6 - mass)) for by in (-0.9, 0.5, 1.2)]
            arrays |= {
                f"{domain}/explanation_attacks.images": (images[:, None] + nudge)
                .clip(0, 255)
                .astype(np.uint8),
                f"{domain}/explanation_attacks.saliency": np.stack(manipulated, 1),
                f"{domain}/explanation_attacks.predicted": np.stack(
                    [(labels + wrong) % classes] * 2 + [(labels + wrong + fooled) % classes], 1
                ),
            }
        if name in LEARNED:
            arrays[f"{domain}/learned_masks.masks"] = (255 * np.exp(-((ring / 0.3) ** 4))).astype(
                np.uint8
            )
    return arrays


def write(folder: Path, result: dict, arrays=None) -> Path:
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    if arrays is not None:
        np.savez(folder / "examples.npz", **arrays)
    return folder


def images(result):
    """The tables of a result's images by domain: values round its measures, N images each."""
    tables = {}
    for d, (domain, here) in enumerate(result["domains"].items()):
        hard = np.random.default_rng(d).random(N)
        own = np.random.default_rng([d, len(result["name"])])
        blurred = (hard + 0.1 * own.normal(size=N)).clip(0, 1)
        tables[domain] = {
            "image": np.array([f"{domain}/{i}.png" for i in range(N)]),
            "label": np.arange(N) % 10,
        }
        for key in ("accuracy", "accuracy_adversarial", "localisation_mass", "stability_cosine"):
            value = here["measures"][key]["value"]
            right, near = blurred.argsort().argsort() < value * N, value - 0.2 * (blurred - 0.5)
            tables[domain][key] = right if key.startswith("accuracy") else near
    return tables


def write_all(root: Path, methods=tuple(METHODS), seeds=3, **kind) -> list[Path]:
    """`seeds` folders per method; seed s lies 0.01 * (s - 1) off the method's mean."""
    folders = []
    for m, name in enumerate(methods):
        for seed in range(seeds):
            result = result_json(name, seed, shift=0.01 * (seed - 1) if seeds > 1 else 0.0)
            folders.append(write(root / f"{m}-{seed}", result, examples(name, **kind)))
            write_table(folders[-1], images(result))
    return folders
