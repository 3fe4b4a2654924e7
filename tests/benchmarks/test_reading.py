"""How often libraries for dialects and encodings read a file right, against our own rules; and how fast we read.

clevercsv and chardet are no dependencies; where they are installed, they are measured too:
`pip install --target FOLDER clevercsv chardet babel`, then `PYTHONPATH=FOLDER make bench PYTEST_ARGS="-k reading"`.
"""

from __future__ import annotations

import csv
import importlib
import io
import itertools
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sandbox_image.zygote.reading.encodings import read_text
from sandbox_image.zygote.reading.loader import LoadError, load

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1800)]

ROWS = int(os.environ.get("TRIGPOINT_BENCH_ROWS", "40"))
Outcome = str
Reader = Callable[[Path], pd.DataFrame]

BEFORE = {"nothing": "", "preamble": "Report, of 2024\nSource: office\n\n", "comments": "# station\n# units: mm\n"}
AFTER = {"nothing": "", "source": "\nSource: office\n"}
NUMBERS = {"point": "{:.2f}", "comma": "{:.2f}"}
WORDS = {
    "German": ("München Köln Düsseldorf Größe Straße Österreich Fläche", "cp1252 mac_roman cp850"),
    "French": ("Orléans Besançon Nîmes Sète Évry région été Noël français", "cp1252 mac_roman cp850"),
    "Spanish": ("Málaga Cádiz España año Córdoba León niño Región", "cp1252 mac_roman"),
    "Portuguese": ("São Brasília região preço Paraná Ceará Goiás", "cp1252"),
    "Swedish": ("Malmö Göteborg Västerås Örebro Åre län område", "cp1252 mac_roman"),
    "Polish": ("Łódź Kraków Poznań Gdańsk Wrocław źródło żółty", "cp1250 iso8859-2"),
    "Czech": ("Plzeň Ústí Říčany Děčín Žďár řeka šest", "cp1250 iso8859-2"),
    "Hungarian": ("Győr Pécs Székesfehérvár Hódmezővásárhely összeg tűz", "cp1250"),
    "Turkish": ("İstanbul İzmir Eskişehir şehir Muğla Iğdır Çorum", "cp1254"),
    "Russian": ("Москва Восток Запад Север Выручка Регион Ёлка район", "cp1251 koi8-r cp866 iso8859-5 mac_cyrillic"),
    "Greek": ("Αθήνα Θεσσαλονίκη Πάτρα τιμή περιοχή Κρήτη", "cp1253 iso8859-7"),
    "Hebrew": ("ירושלים חיפה מחיר אזור תאריך", "cp1255"),
    "Arabic": ("القاهرة بغداد السعر المنطقة مدينة", "cp1256"),
    "Japanese": ("東京 大阪 名古屋 北海道 価格 カメラ りんご", "cp932 euc_jp iso2022_jp"),
    "Chinese": ("北京 上海 广州 深圳 价格 地区 数量", "gb18030"),
    "Taiwan": ("臺北 高雄 臺中 價格 地區 數量", "big5"),
    "Korean": ("서울 부산 대구 가격 지역 수량", "cp949"),
}


def tables(folder: Path) -> Iterator[tuple[str, Path, pd.DataFrame]]:
    """Files in every combination of dialects, with the table that each holds."""
    signs, quotes, ends = [",", ";", "\t", "|"], ['"', "'"], ["\n", "\r\n"]
    for at, (sign, quote, end, before, after, number) in enumerate(
        itertools.product(signs, quotes, ends, BEFORE, AFTER, NUMBERS)
    ):
        if number == "comma" and sign == ",":
            continue
        names = ["place", "count", "share"]
        rows = [
            (f"Place {row % 7}{sign} {row}" if row % 3 else f"P{row}", row * 37 % 101, round(row * 1.37, 2))
            for row in range(ROWS)
        ]
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=sign, quotechar=quote, lineterminator=end)
        writer.writerow(names)
        for row in rows:
            share = NUMBERS[number].format(row[2])
            writer.writerow([row[0], row[1], share.replace(".", ",") if number == "comma" else share])
        whole = BEFORE[before].replace("\n", end) + text.getvalue() + AFTER[after].replace("\n", end)
        path = folder / f"{at}.csv"
        path.write_bytes(whole.encode())
        kind = ", ".join(
            [*([before] if before != "nothing" else []), *(["footer"] if after != "nothing" else []),
             *(["quote '"] if quote == "'" else []), *(["decimal comma"] if number == "comma" else [])]
        ) or "plain"  # fmt: skip
        yield kind, path, pd.DataFrame(rows, columns=names)


def same(frame: pd.DataFrame, truth: pd.DataFrame) -> bool:
    return (
        list(map(str, frame.columns)) == list(truth.columns)
        and frame.shape == truth.shape
        and frame["place"].astype(str).tolist() == truth["place"].tolist()
        and all(str(each).startswith(("int", "float")) for each in frame.dtypes[1:])
        and frame["share"].round(2).tolist() == truth["share"].tolist()
    )


def ours(path: Path) -> pd.DataFrame:
    with path.open("rb") as file:
        return load(file)[0]


def plain_pandas(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep=None, engine="python")


def sniffer(path: Path) -> pd.DataFrame:
    found = csv.Sniffer().sniff(path.read_text()[:4096], delimiters=",;\t|")
    return pd.read_csv(path, sep=found.delimiter, quotechar=found.quotechar or '"', skipinitialspace=False)


def duck(path: Path) -> pd.DataFrame:
    rows = importlib.import_module("duckdb").sql(f"SELECT * FROM read_csv('{path}')")
    return pd.DataFrame(rows.fetchall(), columns=rows.columns).infer_objects()


def clever(path: Path) -> pd.DataFrame:
    found = importlib.import_module("clevercsv").Sniffer().sniff(path.read_text())
    return pd.read_csv(path, sep=found.delimiter or ",", quotechar=found.quotechar or '"')


READERS: dict[str, tuple[str, Reader]] = {
    "our rules": ("", ours),
    "pandas, sep=None": ("", plain_pandas),
    "csv.Sniffer": ("", sniffer),
    "duckdb read_csv": ("duckdb", duck),
    "clevercsv": ("clevercsv", clever),
}


def test_reading_dialects(tmp_path: Path) -> None:
    files = list(tables(tmp_path))
    total = Counter(kind for kind, _, _ in files)
    results: dict[str, Counter[str]] = {}
    wrong: Counter[str] = Counter()
    seconds: dict[str, float] = {}
    for name, (library, reader) in READERS.items():
        if library and importlib.util.find_spec(library) is None:
            continue
        start, results[name] = time.perf_counter(), Counter()
        for kind, path, truth in files:
            try:
                right = same(reader(path), truth)
            except Exception:
                continue
            results[name][kind] += right
            wrong[name] += not right
        seconds[name] = (time.perf_counter() - start) / len(files)
    print(f"\nDialects: files read right, of {len(files)}\n")
    print("| kind | files | " + " | ".join(results) + " |\n|" + "---|" * (len(results) + 2))
    for kind, count in sorted(total.items()):
        print(f"| {kind} | {count} | " + " | ".join(str(each[kind]) for each in results.values()) + " |")
    print(f"| **all** | {len(files)} | " + " | ".join(str(each.total()) for each in results.values()) + " |")
    print("| read wrong, in silence | | " + " | ".join(str(wrong[name]) for name in results) + " |")
    print("| ms a file | | " + " | ".join(f"{seconds[name] * 1000:.0f}" for name in results) + " |")


def texts() -> Iterator[tuple[str, str, bytes]]:
    for language, (words, encodings) in WORDS.items():
        for encoding, rows, share in itertools.product(encodings.split(), (8, 60), (1, 5)):
            chosen = words.split()
            lines = [f"{chosen[at % len(chosen)] if at % share == 0 else 'East'},{at},{at / 4}" for at in range(rows)]
            text = "\n".join(["name,units,price", *lines, f"{chosen[-1]},1,1"]) + "\n"
            yield f"{language}, {encoding}", text, text.encode(encoding)


def our_encoding(data: bytes) -> str | None:
    try:
        return read_text(io.BytesIO(data), None).encoding
    except LoadError:
        return None


def normalizer(data: bytes) -> str | None:
    found = importlib.import_module("charset_normalizer").from_bytes(data).best()
    return found.encoding if found else None


def detector(data: bytes) -> str | None:
    found: str | None = importlib.import_module("chardet").detect(data)["encoding"]
    return found


GUESSERS: dict[str, tuple[str, Callable[[bytes], str | None]]] = {
    "our rules": ("", our_encoding),
    "charset-normalizer": ("charset_normalizer", normalizer),
    "chardet": ("chardet", detector),
}


def decoded(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return ""


def test_reading_encodings() -> None:
    cases = [*texts(), *territories()]
    print(
        f"\nEncodings: {len(cases)} files\n\n| | right | refused | wrong, in silence | ms a file |\n"
        + "|---|---|---|---|---|"
    )
    for name, (library, guess) in GUESSERS.items():
        if library and importlib.util.find_spec(library) is None:
            continue
        start = time.perf_counter()
        found = [(guess(data), text, data) for _, text, data in cases]
        taken = (time.perf_counter() - start) / len(cases)
        refused = sum(each is None for each, _, _ in found)
        right = sum(each is not None and decoded(data, each) == text for each, text, data in found)
        print(f"| {name} | {right} | {refused} | {len(cases) - right - refused} | {taken * 1000:.1f} |")


def territories() -> Iterator[tuple[str, str, bytes]]:
    """Names of countries in many languages, out of Babel where it is installed: our rules were not made on them."""
    if importlib.util.find_spec("babel") is None:
        return
    locale: Any = importlib.import_module("babel").Locale
    languages = {
        "cp1252": "de fr es pt it nl sv da nb fi is ca", "cp1250": "pl cs sk hu hr sl ro", "cp1251": "ru uk bg sr be",
        "cp1253": "el", "cp1254": "tr", "cp1255": "he", "cp1256": "ar fa", "cp1257": "lt lv et", "cp874": "th",
        "cp932": "ja", "euc_jp": "ja", "gb18030": "zh", "big5": "zh_Hant", "cp949": "ko", "koi8-r": "ru", "cp866": "ru",
        "mac_roman": "de fr es", "iso8859-2": "pl cs hu",
    }  # fmt: skip
    for encoding, names in languages.items():
        for name in names.split():
            known = [each for each in locale.parse(name).territories.values() if encodes(each, encoding)]
            for count in (12, 60, 200):
                lines = [f"{each.replace(',', '')},{at}" for at, each in enumerate(known[:count])]
                text = "\n".join(["name,units", *lines]) + "\n"
                if not text.isascii():
                    yield f"{name}, {encoding}", text, text.encode(encoding)


def encodes(text: str, encoding: str) -> bool:
    try:
        return text.encode(encoding).decode(encoding) == text
    except UnicodeEncodeError:
        return False


def test_reading_speed(tmp_path: Path) -> None:
    count = int(os.environ.get("TRIGPOINT_BENCH_LINES", "300000"))
    path = tmp_path / "large.csv"
    with path.open("w") as file:
        file.write("id,name,x,y,when,code\n")
        for at in range(count):
            file.write(
                f"{at},name {at % 1000},{at * 7 % 9973 / 8},{at * 1e-7},2024-01-{at % 28 + 1:02},{'abc'[at % 3]}\n"
            )
    print(f"\nReading {path.stat().st_size / 1e6:.0f} MB, {count:,} rows\n\n| | s |\n|---|---|")
    for name, reader in (("our rules", ours), ("pandas read_csv alone", pd.read_csv)):
        times = []
        for _ in range(3):
            start = time.perf_counter()
            reader(path)
            times.append(time.perf_counter() - start)
        print(f"| {name} | {min(times):.2f} |")
