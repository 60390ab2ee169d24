"""report.html: facts in, one page out that needs nothing else."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="the report's charts need the convert extra")

from converter.parity import TensorError
from converter.probe import Alternative, Probe
from converter.recipe import GateBudget
from converter.report import (
    Box,
    Calibration,
    ChannelHistogram,
    Figure,
    KerasRow,
    LayerRow,
    Overlay,
    ReportFacts,
    Sample,
    VariantRow,
    render,
)
from converter.report.layers import worst
from converter.report.markup import VOID, element, escape

SVG = "{http://www.w3.org/2000/svg}"
EVIL = '<script>alert("1")</script>&\'$x$'
REASON = "reaches accuracy 0.9012 on 812 held-back items, Keras 0.9655: it loses 0.0643"


def _layer(index: int, **given: object) -> LayerRow:
    values: dict[str, object] = {
        "name": f"net/block_{index}/Relu6",
        "operator": "CONV_2D",
        "snr_db": 38.25 - index,
        "cosine": 0.9987,
        "largest": 0.0312,
        "added": 0.001 * index,
        "saturated": 0.0123,
        "low": -0.25,
        "high": 5.75,
        "histogram": (900, 40, 12, 3, 1),
        "histogram_range": (-0.5, 6.5),
        "in_float": False,
    }
    return LayerRow(**{**values, **given})  # type: ignore[arg-type]


def _picture(height: int, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    grey = np.linspace(30, 220, height * width * 3).reshape(height, width, 3)
    return grey.astype(np.uint8)


INT8 = VariantRow(
    name="int8",
    passed=True,
    bytes=701_234,
    value=0.9631,
    lost=0.0024,
    agreement=0.99261,
    disagreeing=6,
    n=812,
    errors={"scores": TensorError(0.0217, 0.00131, 0.998, 36.72, 0.999872)},
    latency_ms={1: {"p50": 1.234, "p95": 1.567}, 2: {"p50": 0.871, "p95": 1.093}},
    layers=tuple(_layer(index) for index in range(12)),
    float_layers=(),
    warnings=("1.2 % of net/block_0 lies outside of its range",),
)

FACTS = ReportFacts(
    name="mask_classifier",
    version="1.2.0",
    task="classification",
    created="2026-11-25T10:00:00Z",
    passed=True,
    verdict="All variants hold their gate; the bundle was written.",
    machine="2 cores of an x86_64 processor, LiteRT 2.3.0",
    gate=GateBudget(metric="accuracy", budget=0.005, least=0.9, agreement=0.99),
    keras=KerasRow("Keras 3 archive", "ab12" * 16, 412_345, 0.9655, 812),
    input=(Figure("size", "96 × 96 px"), Figure("color", "RGB")),
    probe=Probe(
        0.9655,
        240,
        (
            Alternative('input.color = "BGR"', 0.9417, -2.7, -0.0192, -6.3),
            Alternative('input.resize.mode = "letterbox"', 0.9612, -0.6, 0.0009, 0.4),
        ),
    ),
    calibration=Calibration(
        items=321,
        sha256="cd34" * 16,
        per_label={"with_mask": 201, "without_mask": 120},
        histograms=tuple(
            ChannelHistogram(channel, (10, 400, 300, 200, 15), -1.0, 1.0) for channel in "RGB"
        ),
        warnings=("of label 'mask_incorrect' none of the items to calibrate with",),
    ),
    variants=(
        VariantRow("float32", passed=True, bytes=1_650_000, value=0.9655, lost=0.0, n=812),
        INT8,
    ),
    samples={
        "int8": (
            Sample(_picture(64, 64), "crops/a.png", ("Keras: with_mask 0.53", "int8: 0.49")),
            Sample(
                _picture(480, 640),
                "boxes/b.png",
                boxes=(
                    Box(64, 48, 128, 96, "truth", "with_mask"),
                    Box(66, 50, 124, 98, "float", "0.91"),
                    Box(70, 44, 120, 90, "quantized", "0.84"),
                ),
            ),
        )
    },
    versions={"keras": "3.15.1", "tensorflow": "2.21.0"},
    commands=("linesight-convert convert recipe.toml --keras model.keras --data data",),
)


class _Page(HTMLParser):
    """Refuses tags that do not nest; keeps text and attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.ids: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in VOID, f"<{tag}> is left open"
        self.open.append(tag)
        self._take(tag, attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._take(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    def _take(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def _svgs(page: str) -> Iterator[ET.Element]:
    for text in re.findall(r"<svg .*?</svg>", page, flags=re.DOTALL):
        yield ET.fromstring(text)


def _outside(page: str) -> list[str]:
    """All that a browser would load from elsewhere."""
    found = [
        value
        for name, value in _Page(page).attributes
        if name in ("src", "href", "xlink:href", "srcset", "data", "action")
        and not value.startswith(("#", "data:"))
    ]
    found += [url for url in re.findall(r"url\(([^)]*)\)", page) if not url.startswith("#")]
    return found + re.findall(r"@import", page)


def test_every_figure_is_on_the_page() -> None:
    """What was measured stands on the page, rounded, in the unit that its head names."""
    page = _Page(render(FACTS))
    for figure in (
        *("mask_classifier", "1.2.0", FACTS.verdict, "✓ Passed", FACTS.machine, FACTS.created),
        *("0.9655", "0.9631", "−0.0024", "99.26", "6 of 812", "701.2", "1,650.0"),
        *("1.23 / 1.57", "0.87 / 1.09", "p50 / p95 on 1 thread, ms", "on 2 threads, ms"),
        *("may lose 0.005 accuracy", "on 99 % of the items", "must reach 0.9."),
        *("0.0217", "0.00131", "0.998", "36.7", "0.999872", "scores"),
        *(
            'input.color = "BGR"',
            "0.9417",
            "−0.0238",
            "−2.7",
            "−0.019",
            "−6.3",
            "+0.001",
            "240 held-back",
        ),
        *("96 × 96 px", "321 items", "with_mask201", "without_mask120", "cd34" * 16),
        *(
            "net/block_11/Relu6",
            "CONV_2D",
            "27.2",
            "0.9987",
            "0.0312",
            "−0.25 … 5.75",
            "1.23",
        ),
        *("crops/a.png", "Keras: with_mask 0.53", "0.84", "boxes/b.png"),
        *("Keras 3 archive, 412,345 parameters", "ab12" * 16, "keras 3.15.1", *FACTS.commands),
        *INT8.warnings,
        "of label 'mask_incorrect' none of the items to calibrate with",
    ):
        assert figure in page.text, figure


def test_the_page_is_well_formed() -> None:
    """Tags nest, no id stands twice, and every chart and bar is XML."""
    text = render(FACTS)
    page = _Page(text)
    assert len(page.ids) == len(set(page.ids))
    links = [value[1:] for name, value in page.attributes if name == "href" and value[0] == "#"]
    assert set(links) <= set(page.ids)
    assert len(list(_svgs(text))) == text.count("<svg ") > 15
    with pytest.raises(AssertionError):
        _Page(text.replace("</section>", "", 1))


def test_nothing_is_loaded_from_outside() -> None:
    """No address outside the file, no script, and the browser is told so."""
    page = render(FACTS)
    assert _outside(page) == []
    assert "script" not in _Page(page).tags
    assert "default-src &#x27;none&#x27;" in page
    assert set(re.findall(r"https?://[^\"' ]+", page)) == {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    planted = page.replace("</main>", '<img src="https://x.example/a.png"/></main>')
    assert _outside(planted) == ["https://x.example/a.png"]


def test_what_comes_from_files_is_escaped() -> None:
    """Names with markup, control characters or half a character are text on the page."""
    name = f"{EVIL}\x00\x1b\udcff\u202e"
    layer = _layer(0, name=name, operator=EVIL)
    sample = Sample(_picture(32, 32), name, (name,), boxes=(Box(1, 2, 9, 9, "float", name),))
    facts = replace(
        FACTS,
        name=EVIL,
        verdict=EVIL,
        machine=EVIL,
        input=(Figure(EVIL, EVIL),),
        calibration=Calibration(
            9, EVIL, {EVIL: 9}, (ChannelHistogram(EVIL, (1, 2), 0, 1),), (EVIL,)
        ),
        variants=(
            replace(INT8, layers=(layer,), float_layers=(name,), warnings=(name,)),
            VariantRow(EVIL, passed=False, reason=EVIL, layers=(layer,)),
        ),
        samples={EVIL: (sample,), "int8": (Sample(_picture(8, 8), name, overlays=_masks(name)),)},
        versions={EVIL: EVIL},
        commands=(EVIL,),
    )
    text = render(facts)
    page = _Page(text)
    assert "script" not in page.tags
    assert page.text.count(EVIL) >= 15
    assert all(svg.tag.endswith("svg") for svg in _svgs(text))
    text.encode("utf-8")
    assert not re.search("[\x00-\x08\x1b\u202e]", text)


def _masks(label: str) -> tuple[Overlay, ...]:
    one = np.zeros((8, 8), np.bool_)
    one[2:5, 2:5] = True
    return (Overlay(one, "float", label), Overlay(one.T & ~one, "quantized", label))


def test_text_is_escaped_unless_it_is_markup() -> None:
    """An element escapes its text and attributes, and keeps elements as they are."""
    inner = element("b", "<i>", title='"')
    assert inner == '<b title="&quot;">&lt;i&gt;</b>'
    assert element("p", inner, "&") == f"<p>{inner}&amp;</p>"
    assert element("p", escape("<"), class_=None) == "<p>&lt;</p>"
    assert (
        element("p", f"{inner}")
        == "<p>&lt;b title=&quot;&amp;quot;&quot;&gt;&amp;lt;i&amp;gt;&lt;/b&gt;</p>"
    )
    assert element("line", x1=0.5) == '<line x1="0.5"/>'


def test_same_facts_same_bytes() -> None:
    """Nothing on the page comes from chance, the clock, what was drawn before, or the user's
    settings of matplotlib, which stay as they were.
    """
    import matplotlib

    first = render(FACTS)
    assert render(replace(FACTS, name="another")) != first
    with matplotlib.rc_context({"font.size": 31.0, "axes.labelpad": 40.0}):
        assert render(FACTS) == first
        assert matplotlib.rcParams["font.size"] == 31.0


def test_whoever_writes_no_report_needs_no_matplotlib() -> None:
    """Importing the report loads neither matplotlib nor TensorFlow nor Keras; a chart loads the
    first.
    """
    code = (
        "import sys; import converter.report, converter.report.charts as charts; "
        "print(sorted({'matplotlib', 'tensorflow', 'keras'} & set(sys.modules))); "
        "one = converter.report.ChannelHistogram('GRAY', (1, 2), 0.0, 1.0); "
        "charts.channels((one,)); print('matplotlib' in sys.modules, 'tensorflow' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=Path(__file__).resolve().parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split("\n")[:2] == ["[]", "True False"]


def test_a_constant_layer_has_a_chart() -> None:
    """A layer whose values are all one, as a dead one's, is drawn without a warning; a perfect one
    is said to be at least as good as float32 can tell.
    """
    dead = _layer(0, histogram=(9,), histogram_range=(0.0, 0.0), low=0.0, high=0.0, snr_db=120.0)
    page = render(replace(FACTS, variants=(replace(INT8, layers=(dead,)),)))
    assert 'class="spark"' in page
    assert "≥ 120" in _Page(page).text
    assert "≥ 120" not in _Page(render(FACTS)).text


def test_empty_sections_are_absent() -> None:
    """Without variants, probe, calibration, layers, samples and versions nothing speaks of them."""
    page = render(
        replace(
            FACTS, input=(), probe=None, calibration=None, variants=(), samples={"int8": ()},
            versions={}, commands=(),
        )
    )  # fmt: skip
    full = render(FACTS)
    for title in ("Variants", "Preprocessing", "Calibration", "Error by layer", "Worst samples"):
        assert title in full
        assert title not in page
    assert _Page(page).ids == ["provenance"]
    assert "versions" not in page
    assert "<pre" not in page
    assert "None" not in _Page(page).text


def test_a_failing_variant_is_shown_as_failed() -> None:
    """The verdict and the row of a variant that failed say so and why; of one that passed not."""
    failed = replace(INT8, passed=False, reason=REASON, value=0.9012, lost=0.0643)
    page = render(
        replace(FACTS, passed=False, verdict="No bundle was written.", variants=(failed,))
    )
    text = _Page(page).text
    assert "✗ Failed" in text
    assert f"int8 failed: {REASON}" in text
    assert 'class="verdict failed"' in page
    assert "✗ failed" in text
    assert 'class="over"' in page
    passed = render(FACTS)
    assert "✗" not in _Page(passed).text
    assert 'class="over"' not in passed


def test_a_variant_that_could_not_be_made_has_no_figures() -> None:
    """It stands in the table with its reason and dashes, not with numbers."""
    reason = "TensorFlow does not quantize ELU (8 times) to 16x8"
    row = VariantRow("int16x8", passed=False, reason=reason)
    text = _Page(render(replace(FACTS, variants=(INT8, row)))).text
    assert "int16x8✗ failed––––––––" in text
    assert f"int16x8 failed: {reason}" in text


def test_the_probe_says_whether_the_recipe_is_right() -> None:
    """The page says that the recipe's preprocessing is the best, or which one is better."""
    right = _Page(render(FACTS)).text
    assert "The recipe's own preprocessing is the best" in right
    better = Alternative('input.color = "RGB"', 0.9712, 5.1, 0.0817, 9.2)
    wrong = _Page(render(replace(FACTS, probe=Probe(0.8, 240, (better,))))).text
    assert "preprocessing is not the best: the Keras model does better with input.color" in wrong
    assert "✗ better input.color" in wrong
    assert "own preprocessing is the best" not in wrong


def test_worst_layers_are_integer_ones() -> None:
    """The ten that lose the most by themselves, the worst first; what is in float is not among
    them and has no range.
    """
    layers = (*INT8.layers, _layer(30, in_float=True))
    assert worst(layers) == [11, 10, 9, 8, 7, 6, 5, 4, 3, 2]
    row = replace(INT8, layers=layers, float_layers=("net/block_30/Relu6",))
    text = _Page(render(replace(FACTS, variants=(row,)))).text
    assert "Left in float: net/block_30/Relu6." in text
    assert "in float–" in text
    assert "All 13 layers" in text


def test_pictures_are_small_and_true() -> None:
    """A picture's longest side is 320 px and its colours survive; a small one keeps its size."""
    wide = np.zeros((200, 1600, 3), np.uint8)
    wide[:] = (200, 60, 20)
    facts = replace(FACTS, samples={"int8": (Sample(wide, "w"), Sample(wide[:9, :16], "s"))})
    pictures = _pictures(render(facts))
    assert [picture.shape for picture in pictures] == [(40, 320, 3), (9, 16, 3)]
    assert np.abs(pictures[0].astype(int) - (200, 60, 20)).max() <= 6


def test_boxes_follow_the_small_picture() -> None:
    """A box is drawn where it lies on the picture that was made small, as the line of its side."""
    (svg,) = (svg for svg in _svgs(render(FACTS)) if svg.find(f"{SVG}image") is not None)
    found = [
        (rect.get("class"), [float(rect.get(key, "")) for key in ("x", "y", "width", "height")])
        for rect in svg.iter(f"{SVG}rect")
    ]
    assert found == [
        ("frame truth", [32, 24, 64, 48]),
        ("frame float", [33, 25, 62, 49]),
        ("frame quantized", [35, 22, 60, 45]),
    ]


def test_masks_are_painted_side_by_side() -> None:
    """Each side has its picture, a last one shows where Keras and the variant differ, if anywhere:
    one pixel of 1600 by 200 is enough.
    """
    truth, same = np.zeros((2, 200, 1600), np.bool_)
    truth[50:150, 400:800] = True
    same[60:140, 400:800] = True
    other = same.copy()
    other[103, 1203] = True
    black = np.zeros((200, 1600, 3), np.uint8)

    def shown(quantized: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> str:
        overlays = (
            Overlay(truth, "truth", "scratch"),
            Overlay(same, "float", "scratch"),
            Overlay(quantized, "quantized", "scratch"),
        )
        return render(replace(FACTS, samples={"int8": (Sample(black, "strip", (), (), overlays),)}))

    assert len(_pictures(shown(same))) == 3
    assert "they differ" not in shown(same)
    page = shown(other)
    labels, keras, _, differ = _pictures(page)
    assert labels[20, 120].max() > 100
    assert labels[20, 200].max() < 30
    assert (keras.max(axis=2) > 60).sum() < (labels.max(axis=2) > 60).sum()
    assert differ[20, 240].max() > 60
    assert differ[20, 120].max() < 30
    assert "only int8" in _Page(page).text


def _pictures(page: str) -> list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    found = []
    for text in re.findall(r"data:image/jpeg;base64,([^\"]+)", page):
        data = np.frombuffer(base64.b64decode(text), np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
        assert image is not None
        found.append(np.asarray(image, np.uint8))
    return found
