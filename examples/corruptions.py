"""Draw a picture under the fifteen corruptions at severities 1, 3 and 5, as docs/corruptions.png.

    python examples/corruptions.py [picture] [--side 96] [--out corruptions.png]

Without a picture, scikit-learn's china.jpg (danielbuechele, CC BY 2.0).
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageOps
from sklearn.datasets import load_sample_image

from lookright.corruptions import CORRUPTIONS, corrupt

COLUMNS, LABEL, GAP = 5, 16, 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture", type=Path, nargs="?", help="an image file")
    parser.add_argument("--side", type=int, default=96, help="of each picture, in pixels")
    parser.add_argument("--out", type=Path, default=Path("corruptions.png"))
    given = parser.parse_args()
    if given.picture:
        picture = Image.open(given.picture).convert("RGB")
    else:
        picture = Image.fromarray(load_sample_image("china.jpg"))
    square = ImageOps.fit(picture, (given.side, given.side), Image.Resampling.BICUBIC)
    images = torch.from_numpy(np.array(square)).permute(2, 0, 1)[None] / 255

    wide, high = 3 * given.side + GAP, given.side + LABEL
    sheet = Image.new(
        "RGB", (COLUMNS * wide - GAP, -(-len(CORRUPTIONS) // COLUMNS) * high), "white"
    )
    draw = ImageDraw.Draw(sheet)
    for number, name in enumerate(CORRUPTIONS):
        left, top = number % COLUMNS * wide, number // COLUMNS * high
        draw.text((left + 2, top + 1), name, "black")
        three = torch.cat([corrupt(images, name, severity)[0] for severity in (1, 3, 5)], 2)
        pixels = (255 * three).round().byte().permute(1, 2, 0).numpy()
        sheet.paste(Image.fromarray(pixels), (left, top + LABEL))
    sheet.quantize(256).save(given.out, optimize=True)


if __name__ == "__main__":
    main()
