"""Draws the README's picture, three answers about vehicles never trained on, from a finished `make demo`:

python docs/answers_picture.py demo_output --out docs/images/answers.jpg
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # run as a script: predict.py lies one folder up

# Test identities of the demo, and what is true; "~clone" is another vehicle under the same plate.
PAIRS = (
    ("粤EF36045/000.jpg", "粤EF36045/002.jpg", "one plate, one vehicle"),
    ("浙CP6597/003.jpg", "浙CP6597~clone/001.jpg", "one plate, two vehicles"),
    ("粤EF36045/000.jpg", "粤EF36045~clone/000.jpg", "one plate, two vehicles"),
)
COLOURS = {"same": "#1a7f37", "different": "#b42318", "look yourself": "#9a6700"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("demo", type=Path, help="what make demo wrote")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()

    from matplotlib import pyplot
    from PIL import Image, ImageOps

    from config import PredictConfig
    from predict import ImageSimilarityPredictor

    predictor = ImageSimilarityPredictor(arguments.demo / "checkpoints" / "demo")
    photos = arguments.demo / "data" / "vehicles"
    figure = pyplot.figure(figsize=(11, 2.0), dpi=100)
    for column, (first, second, truth) in zip(figure.subfigures(1, len(PAIRS)), PAIRS, strict=True):
        comparison = predictor.predict(photos / first, photos / second)
        answer = "same" if comparison.is_same else "different"
        said = f"{answer}, {comparison.confidence:.0%}"
        if comparison.confidence < PredictConfig.doubt_below:
            answer = said = "look yourself"
        column.text(0.5, 0.87, said, ha="center", fontsize=16, fontweight="bold", color=COLOURS[answer])
        column.text(0.5, 0.03, truth, ha="center", fontsize=11, color="#555555")
        grid = column.subplots(1, 2)
        column.subplots_adjust(left=0.03, right=0.97, bottom=0.13, top=0.83, wspace=0.03)
        for axes, path in zip(grid, (first, second), strict=True):
            axes.imshow(ImageOps.fit(Image.open(photos / path), (400, 320)))
            axes.set_axis_off()
    figure.savefig(arguments.out, facecolor="white")


if __name__ == "__main__":
    main()
