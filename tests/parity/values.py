#!/usr/bin/env python3
"""Writes cases of functions and casts over random and edge values, always the same ones.

    tests/parity/values.py [THEME…]      writes cases/values_THEME/{query.sql,case.json,input/v.jsonl}
    tests/parity/flink values_THEME…     asks Flink for their rows

A case has one table `v` of input values and one sink `o` with a column per expression, so that a failing row names
the expression. Values for which Flink gives no reproducible answer are left out; the case's `notes` say which.
"""
import json
import random
import sys
from pathlib import Path

CASES = Path(__file__).parent / "cases"
ROWS = 220

LONG = "The quick brown fox jumps over the lazy dog, 0123456789 times. "
TEXTS = [
    "", " ", "a", "abc", "ABC", "aAbB", "  padded  ", "hello world", "Hello World-wide_web", "éa", "straße", "Ünïcödé",
    "日本語テキスト", "😀", "a😀b", "e\u0301", "ﬁ", "ǅ", "İ", "ı", "Σίσυφος", "0", "42", "-7", "3.14", "1e3", "a,b,,c", ",", "a=1&b=2",
    "x-y-x", "aaa", "abab", "xyxyx", "a\tb", "line1\nline2", "%", "100%", "a_b", "\\", "a\\b", "it's", '"q"', "null",
    LONG, LONG * 3, "temp=21.5C hum=40%", "device_12", "ERROR device_7: code=E-1042", "٣", "１２",
]
ALPHABET = "abcxyz ABC019,.-_=%éß日😀"


def text(r):
    if r.random() < 0.45:
        return r.choice(TEXTS)
    return "".join(r.choice(ALPHABET) for _ in range(r.randrange(0, 14)))


def piece(r, s):
    """A text that is likely to occur in s."""
    if s and r.random() < 0.7:
        at = r.randrange(len(s))
        return s[at : at + r.randrange(1, 4)]
    return r.choice(["", ",", " ", "a", "b", "xy", "é", "😀", "=", "aa", "日"])


def maybe(r, value, share=0.06):
    return None if r.random() < share else value


def small(r):
    return r.choice([-100, -3, -2, -1, 0, 0, 1, 1, 2, 3, 4, 5, 7, 10, 50])


def double(r):
    edge = [
        0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 1e7, 9999999.0, 1e-3, 9.99e-4, 1e10, 1e21, 1e22, 123456789.125, 4.9e-324, 1.7976931348623157e308,
        2.2250738585072014e-308, 9007199254740993.0, 2147483647.0, -2147483648.0, 2147483648.5, 9.223372036854776e18, -9.3e18,
        127.5, 128.0, 32768.0, 1e15, 1e16, 0.1, 0.30000000000000004, 3.3333333333333335, 2e-3, 1.005, 2.675, 1e-5, 8.41e21, 2e23,
    ]
    pick = r.random()
    if pick < 0.35:
        return r.choice(edge)
    if pick < 0.6:
        return round(r.uniform(-1000, 1000), r.randrange(0, 6))
    if pick < 0.8:
        return r.uniform(-1, 1) * 10 ** r.randrange(-12, 20)
    return r.uniform(-20, 20)


def special(r):
    """With NaN and infinities, as the json format writes them."""
    return r.choice(["NaN", "Infinity", "-Infinity"]) if r.random() < 0.08 else double(r)


def single(r):
    edge = [0.0, -0.0, 1.0, 0.1, 16777216.0, 3.4028235e38, 1.4e-45, 1.1754944e-38, 1e10, 1e-5, 9999999.0, 1e7, 0.33333334, 33554432.0, 1e300, 8388608.5]
    return r.choice(edge) if r.random() < 0.3 else r.choice([round(r.uniform(-1e4, 1e4), 3), r.uniform(-1, 1) * 10 ** r.randrange(-9, 15)])


def integer(r, bits):
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    pick = r.random()
    if pick < 0.3:
        return r.choice([low, high, low + 1, high - 1, 0, 1, -1, 5, -5, 10, 99, 15, 25, -15])
    if pick < 0.6:
        return max(low, min(high, r.randrange(-1000, 1000)))
    return r.randrange(low, high + 1)


def decimal(r, precision, scale):
    digits = r.choice([1, 2, scale + 1, precision // 2, precision])
    units = r.randrange(0, 10 ** min(max(digits, 1), precision))
    if r.random() < 0.15:
        units = r.choice([0, 1, 5, 10**precision - 1, 10**scale if scale < precision else 0, 5 * 10 ** max(scale - 1, 0)])
    sign = "-" if r.random() < 0.45 and units else ""
    whole = str(units).rjust(scale + 1, "0")
    return Raw(sign + (whole if scale == 0 else whole[:-scale] + "." + whole[-scale:]))


class Raw(str):
    """A number as it is to be written."""


def day(r):
    edge = ["0001-01-01", "9999-12-31", "1970-01-01", "1969-12-31", "2024-02-29", "2023-02-28", "2000-02-29", "1900-03-01", "1582-10-04", "1582-10-15",
            "2024-12-30", "2024-12-31", "2021-01-03", "2021-01-01", "2024-03-31", "2024-10-27", "2024-01-31", "2024-11-30", "1600-12-31", "2100-02-28"]
    if r.random() < 0.3:
        return r.choice(edge)
    year = r.choice([r.randrange(1, 10000), r.randrange(1950, 2050), r.randrange(1950, 2050), r.randrange(2020, 2026)])
    return f"{year:04}-{r.randrange(1, 13):02}-{r.randrange(1, 29):02}"


def clock(r):
    if r.random() < 0.3:
        return r.choice(["00:00:00", "23:59:59", "12:00:00", "02:30:00", "01:30:00", "00:00:01"])
    return f"{r.randrange(24):02}:{r.randrange(60):02}:{r.randrange(60):02}"


def fraction(r, digits):
    return "" if digits == 0 or r.random() < 0.2 else "." + str(r.choice([0, 1, 999999999, 500000000, r.randrange(10**9)])).rjust(9, "0")[:digits]


def stamp(r, digits):
    return f"{day(r)} {clock(r)}{fraction(r, digits)}"


def modern(r, digits):
    """Years in which zones have rules, and changes of the clock."""
    edge = ["2024-03-31 02:30:00", "2024-10-27 02:30:00", "2024-03-31 01:59:59", "2024-10-27 00:30:00", "2024-10-27 01:30:00", "1969-12-31 23:59:59", "1970-01-01 00:00:00", "2038-01-19 03:14:08", "2024-02-29 23:59:59"]
    base = r.choice(edge) if r.random() < 0.3 else f"{r.randrange(1975, 2036)}-{r.randrange(1, 13):02}-{r.randrange(1, 29):02} {clock(r)}"
    return base + fraction(r, digits)


def number_text(r):
    edge = ["", " ", "0", "-0", "+5", " 12 ", "1.5", "-1.9", ".5", "5.", ".", "-", "+", "1e3", "1E-3", "1e400", "1e-400", "NaN", "nan", "Infinity", "-Infinity", "+Infinity", "inf",
            "127", "128", "-128", "-129", "32768", "2147483647", "2147483648", "-2147483648", "-2147483649", "9223372036854775807", "9223372036854775808", "99999999999999999999999999999999999999",
            "0x10", "1_000", "1,5", "1 2", "--1", "٣", "１", "1f", "1d", "1L", "0x1p3", "abc", "true", "FALSE", "t", "f", "yes", "NO", "y", "n", "on", "off", "2", "00012", "1.0000000000000000000000000000000000000000001",
            "0.1", "1.005", "-2.675", "123456789.987654321", "1e", "e5", "1e+5", "1.e2", "\t7\n", "12a", "3.4028236e39", "1e-50", "0.00000000000000000000000000000000000001"]
    pick = r.random()
    if pick < 0.5:
        return r.choice(edge)
    if pick < 0.75:
        return str(integer(r, r.choice([8, 16, 32, 64, 80])))
    return f"{double(r)!r}"


def time_text(r):
    edge = ["", "2024-02-30", "2024-02-31 10:00:00", "2023-02-29", "2024-13-01", "2024-00-10", "2024-1-2", "2024-1-2 3:4:5", "2024-01-02T10:11:12", "2024-01-02 10", "2024-01-02 10:11", "2024-01-02 10:11:12Z",
            "2024-01-02 24:00:00", "2024-01-02 23:59:60", "24:00:00", "10:11", "10", "1:2:3", "10:11:12.123456789", "10:60:00", "12024-01-01", "9999-12-31", "0001-01-01", "2024", "2024-05", "12", "x", " 2024-01-02 ", " 10:11:12 ",
            "2024-01-02 junk", "2024-01-02 10:11:12.1234567891", "2024-01-02  10:11:12", "2024/01/02", "20240102", "2024-01-02 10:11:12.", "24-01-02", "2024-01-32", "2024-01-02 10:11:12 ", "2024-01-02 1:1:1.5"]
    pick = r.random()
    if pick < 0.5:
        return r.choice(edge)
    return stamp(r, r.choice([0, 3, 6, 9])) if pick < 0.8 else r.choice([day(r), clock(r) + fraction(r, 3)])


class Theme:
    def __init__(self, columns, row, outputs, notes, zone="UTC", rows=ROWS, tolerance=1e-9):
        self.columns, self.row, self.outputs, self.notes = columns, row, outputs, notes
        self.zone, self.rows, self.tolerance = zone, rows, tolerance


def write(name, theme):
    r = random.Random(f"flink {name}")
    folder = CASES / f"values_{name}"
    (folder / "input").mkdir(parents=True, exist_ok=True)
    lines = []
    for i in range(theme.rows):
        row = {"id": i, **theme.row(r)}
        fields = (f"{json.dumps(k)}:{v if isinstance(v, Raw) else json.dumps(v, ensure_ascii=False)}" for k, v in row.items())
        lines.append("{" + ",".join(fields) + "}")
    (folder / "input/v.jsonl").write_text("\n".join(lines) + "\n")
    outputs = [(f"c{i}", kind, expression) for i, (kind, expression) in enumerate(theme.outputs)]
    declared = ",\n".join(f"  {c} {kind}" for c, kind in [("id", "INT")] + theme.columns)
    made = ",\n".join(f"  {c} {kind}" for c, kind in [("id", "INT")] + [(c, kind) for c, kind, _ in outputs])
    chosen = ",\n".join(f"  {e} AS {c}" for c, e in [("id", "id")] + [(c, e) for c, _, e in outputs])
    (folder / "query.sql").write_text(
        f"""SET 'table.local-time-zone' = '{theme.zone}';
CREATE TABLE v (
{declared}
) WITH ('connector' = 'filesystem', 'path' = '{{{{dir}}}}/input/v.jsonl', 'format' = 'json');
CREATE TABLE o (
{made}
) WITH ('connector' = 'filesystem', 'path' = '{{{{dir}}}}/out/o', 'format' = 'json');
INSERT INTO o
SELECT
{chosen}
FROM v;
"""
    )
    columns = [["id", "INT"]] + [[c, kind] for c, kind, _ in outputs]
    case = {"area": "expr", "notes": theme.notes, "float_rel_tol": theme.tolerance, "outputs": [{"table": "o", "kind": "json", "columns": columns}]}
    (folder / "case.json").write_text(json.dumps(case, indent=1) + "\n")


def text_row(r):
    s = text(r)
    return {"s": maybe(r, s), "t": maybe(r, piece(r, s)), "n": maybe(r, small(r)), "m": maybe(r, small(r))}


TEXT = [("s", "STRING"), ("t", "STRING"), ("n", "INT"), ("m", "INT")]

def of_one_unit(row):
    one = lambda s: s and s.replace("😀", "")
    return {**row, "b": one(row["s"]), "c": one(row["t"])}


def whole_characters(row):
    """An empty text or match parts a character of two UTF-16 units in Java."""
    if row["s"] and (row.get("p") in ("b*", "(?:)", "()") or row.get("t") == ""):
        row["s"] = row["s"].replace("😀", "")
    return row


PATTERNS = [
    "a", "a+", "[a-c]+", "(a)(b)?", "(\\w+)=(-?[\\d.]+)", "[0-9]+", "\\d", "^a", "c$", ".", ".*", "b*", "(?i)ABC", "(?i)É", "(?iu)É", "[^a-z]", "\\s+", "\\bworld\\b", "(?<=a)b", "a(?=b)", "(?<!a)b", "(.)\\1",
    "(?<x>a)(?:b)", "x|y|é", "(a|ab)(c|bcd)?", "\\p{L}+", "\\p{Lu}", "[\\p{L}&&[^a-z]]", "\\p{Alpha}+", "\\p{Punct}", "a++b", "(?>a+)b", "a{2,3}", "a*?b", "\\Qa.b\\E", "\\x41", "\\u00e9", "(?s)e.l", "(?m)^l", "1$",
    "\\Aa", "b\\z", "\\W", "\\D+", "\\S", "[a-z&&[aeiou]]", "(?x) a b # c", "é", "😀", "[😀é]", "日.", "(\\d+)-(\\d+)", "\\.", "\\\\", "(", "[", "a**", "*", "\\h", "\\R", "(?:)", "()", "[a\\-z]", "\\-", "\\p{IsAlphabetic}", "\\p{javaLowerCase}", "\\P{L}", "\\p{Lower}+", "(a)|(b)", "^$", "\\w{2}", "[\\w-]+", "(?!x).",
]


def pairs(*expressions):
    kind, *rest = expressions
    return [(kind, e) for e in rest]


STRING, INT, BIGINT, BOOLEAN, DOUBLE, FLOAT, DATE = "STRING", "INT", "BIGINT", "BOOLEAN", "DOUBLE", "FLOAT", "DATE"

THEMES = {
    "text_parts": Theme(
        TEXT + [("b", STRING), ("c", STRING)],
        lambda r: of_one_unit(text_row(r)),
        pairs(STRING, "UPPER(s)", "LOWER(s)", "INITCAP(s)", "REVERSE(s)", "SUBSTRING(s, n)", "SUBSTRING(s, n, m)", "SUBSTR(s, n, m)", "SUBSTRING(s FROM 2 FOR 3)", "`LEFT`(s, n)", "`RIGHT`(s, n)",
              "OVERLAY(b PLACING c FROM n)", "OVERLAY(b PLACING c FROM n FOR m)", "SPLIT_INDEX(s, t, n)", "SPLIT_INDEX(s, ',', m)", "LPAD(c, n, b)", "RPAD(c, n, b)", "LPAD(b, 8, '*')", "REPEAT(t, n)", "CHR(n)", "ELT(2, s, t)")
        + pairs(INT, "CHAR_LENGTH(s)", "CHARACTER_LENGTH(t)", "ASCII(s)"),
        "what counts UTF-16 units gets no characters of two of them: Java cuts these in the middle",
    ),
    "text_search": Theme(
        TEXT,
        text_row,
        pairs(INT, "POSITION(t IN s)", "LOCATE(t, s)", "LOCATE(t, s, n)", "INSTR(s, t)", "INSTR(s, t, n)", "INSTR(s, t, m, 2)")
        + pairs(BOOLEAN, "STARTSWITH(s, t)", "ENDSWITH(s, t)", "s LIKE '%a%'", "s LIKE '_b%'", "s LIKE t", "s NOT LIKE '%\\%'", "s LIKE '%!%' ESCAPE '!'", "s LIKE '%#_%' ESCAPE '#'", "s SIMILAR TO '(a|A)%'", "s SIMILAR TO '[a-z]+'", "s NOT SIMILAR TO '%[0-9]_*'",
                "IS_ALPHA(s)", "IS_DIGIT(s)", "IS_DECIMAL(s)", "s = t", "s < t", "s IN ('a', 'abc', '')", "s BETWEEN 'a' AND 'm'", "s IS DISTINCT FROM t", "s || t = t || s"),
        "",
    ),
    "text_change": Theme(
        TEXT,
        lambda r: whole_characters(text_row(r)),
        pairs(STRING, "TRIM(s)", "LTRIM(s)", "RTRIM(s)", "BTRIM(s)", "BTRIM(s, t)", "LTRIM(s, t)", "RTRIM(s, t)", "TRIM(BOTH 'xy' FROM s)", "TRIM(LEADING 'a' FROM s)", "TRIM(TRAILING t FROM s)", "REPLACE(s, t, '#')", "REPLACE(s, 'a', t)",
              "TRANSLATE(s, t, 'XYZ')", "TRANSLATE(s, 'abc', t)", "CONCAT(s, '-', t)", "s || t", "CONCAT_WS(t, s, 'x', s)", "CONCAT_WS(',', s, t, CAST(n AS STRING))", "PRINTF('%s|%5d|%-6s|%x', s, n, t, m)", "COALESCE(s, t, '?')", "IFNULL(s, t)", "NULLIF(s, t)", "IF(n > m, s, t)", "GREATEST(s, t)", "LEAST(s, t)")
        + pairs("ARRAY<STRING>", "SPLIT(s, t)", "SPLIT(s, ' ')")
        + pairs("MAP<STRING, STRING>", "STR_TO_MAP(s, '&', '=')", "STR_TO_MAP(s)"),
        "characters of two UTF-16 units beside an empty separator are left out: Java parts them in the middle",
    ),
    "regex": Theme(
        [("s", STRING), ("p", STRING), ("g", INT)],
        lambda r: whole_characters({"s": maybe(r, text(r), 0.03), "p": maybe(r, r.choice(PATTERNS), 0.02), "g": maybe(r, r.choice([0, 0, 1, 1, 2, 3, -1]), 0.03)}),
        pairs(BOOLEAN, "REGEXP(s, p)", "REGEXP(s, '(?i)[aeiou]{2}')", "REGEXP(s, '^(?!.*[0-9]).+$')")
        + pairs(STRING, "REGEXP_EXTRACT(s, p)", "REGEXP_EXTRACT(s, p, g)", "REGEXP_REPLACE(s, p, '<$1>')", "REGEXP_REPLACE(s, '([a-z])\\1', p)", "REGEXP_SUBSTR(s, p)")
        + pairs(INT, "REGEXP_COUNT(s, p)", "REGEXP_INSTR(s, p)")
        + pairs("ARRAY<STRING>", "REGEXP_EXTRACT_ALL(s, p)", "REGEXP_EXTRACT_ALL(s, p, g)"),
        "characters of two UTF-16 units beside patterns of nothing are left out: Java parts them in the middle",
        rows=900,
    ),
    "math_double": Theme(
        [("x", DOUBLE), ("y", DOUBLE), ("f", FLOAT), ("k", DOUBLE)],
        lambda r: {"x": maybe(r, special(r)), "y": maybe(r, special(r)), "f": maybe(r, single(r)), "k": maybe(r, double(r))},
        pairs(DOUBLE, "SQRT(x)", "EXP(x)", "LN(x)", "LOG10(x)", "LOG2(x)", "LOG(x)", "LOG(x, y)", "SIN(k)", "COS(k)", "TAN(k)", "COT(k)", "ASIN(x)", "ACOS(x)", "ATAN(x)", "SINH(x)", "COSH(x)", "TANH(x)", "POWER(x, y)", "ATAN2(x, y)", "DEGREES(x)", "RADIANS(x)",
              "ABS(x)", "SIGN(x)", "FLOOR(x)", "CEIL(x)", "x + y", "x - y", "x * y", "x / y", "-x", "ROUND(k, 2)", "ROUND(k)", "ROUND(k, -2)", "CASE WHEN ABS(k) BETWEEN 1e-10 AND 1e15 THEN TRUNCATE(k, 2) END", "CASE WHEN ABS(k) BETWEEN 1e-10 AND 1e15 THEN TRUNCATE(k) END", "GREATEST(x, y)", "LEAST(x, y)", "x * 2", "x / 3", "1.5 * x", "x + f")
        + pairs(FLOAT, "f + f", "f * x", "ABS(f)", "FLOOR(f)", "f / 3", "CASE WHEN ABS(f) BETWEEN 1e-10 AND 1e15 THEN ROUND(f, 2) END", "CASE WHEN ABS(f) BETWEEN 1e-10 AND 1e15 THEN TRUNCATE(f, 1) END", "SIGN(f)", "-f")
        + pairs(BOOLEAN, "x < y", "x = y", "x <> y", "x >= 1.5", "x > 2.5e0", "x IS DISTINCT FROM y", "x BETWEEN y AND 100", "x BETWEEN SYMMETRIC y AND 10", "x IN (0, 1, 2.5)", "f < x", "f = 0.1"),
        "ROUND and TRUNCATE of NaN and infinities, and TRUNCATE beyond 38 digits before or after the point, fail in Flink and are left out; trigonometry of huge angles is Java's",
    ),
    "math_integer": Theme(
        [("a", "TINYINT"), ("b", "SMALLINT"), ("c", INT), ("d", BIGINT)],
        lambda r: {"a": maybe(r, integer(r, 8)), "b": maybe(r, integer(r, 16)), "c": maybe(r, integer(r, 32)), "d": maybe(r, integer(r, 64))},
        pairs(INT, "c + c", "c * 3", "c - b", "-c", "ABS(c)", "SIGN(c)", "ROUND(c, -2)", "TRUNCATE(c, -1)", "c / 7", "MOD(c, 10)", "c % NULLIF(b, 0)", "CAST(d AS INT)", "a + c", "FLOOR(c)", "CEIL(c)", "CASE WHEN c > 0 THEN a ELSE b END")
        + pairs("TINYINT", "-a", "ABS(a)", "CAST(c AS TINYINT)", "a + a", "a * a", "MOD(c, NULLIF(a, 0))")
        + pairs("SMALLINT", "CAST(d AS SMALLINT)", "b + a", "b * b")
        + pairs(BIGINT, "d + c", "d * 2", "d - d", "-d", "ABS(d)", "c * d", "d / 3", "ROUND(d, -3)", "GREATEST(a, b, c, d)", "LEAST(c, d)", "CAST(c AS BIGINT) * c")
        + pairs(DOUBLE, "SQRT(c)", "POWER(b, 2)", "LN(c)", "c / 2e0", "LOG(2, b)")
        + pairs(STRING, "HEX(c)", "HEX(d)", "HEX(a)", "BIN(c)", "BIN(d)", "CAST(d AS STRING)", "CHR(c)", "INET_NTOA(d)")
        + pairs(BOOLEAN, "c > d", "a = b", "c IN (1, 5, 99)", "c BETWEEN a AND b", "c BETWEEN SYMMETRIC b AND a", "c NOT BETWEEN SYMMETRIC d AND 5", "CAST(c AS BOOLEAN)", "c < 2.5", "d = 5e0"),
        "",
    ),
    "decimal": Theme(
        [("p", "DECIMAL(38, 10)"), ("q", "DECIMAL(10, 2)"), ("u", "DECIMAL(20, 18)"), ("w", "DECIMAL(38, 0)"), ("c", INT), ("n", INT)],
        lambda r: {"p": maybe(r, decimal(r, 38, 10)), "q": maybe(r, decimal(r, 10, 2)), "u": maybe(r, decimal(r, 20, 18)), "w": maybe(r, decimal(r, 38, 0)), "c": maybe(r, integer(r, 32)), "n": maybe(r, r.choice([-3, -1, 0, 1, 2, 5]))},
        pairs("DECIMAL(38, 9)", "p + q", "p - q", "p + CAST(c AS BIGINT)", "q - p")
        + pairs("DECIMAL(11, 2)", "q + q", "q - q", "q + 1.25")
        + pairs("DECIMAL(21, 4)", "q * q")
        + pairs("DECIMAL(23, 13)", "q / NULLIF(q, 0)")
        + pairs("DECIMAL(38, 6)", "p * q", "w / NULLIF(u, 0)", "p * p", "p + w", "w / NULLIF(w, 0)")
        + pairs("DECIMAL(38, 7)", "p * u")
        + pairs("DECIMAL(38, 8)", "p / NULLIF(q, 0)")
        + pairs("DECIMAL(38, 26)", "u / NULLIF(p, 0)")
        + pairs("DECIMAL(21, 13)", "q / NULLIF(c, 0)", "q / 3")
        + pairs("DECIMAL(38, 2)", "w * q")
        + pairs("DECIMAL(31, 18)", "u * 2")
        + pairs("DECIMAL(29, 18)", "u + c")
        + pairs("DECIMAL(27, 18)", "u - q")
        + pairs("DECIMAL(20, 18)", "MOD(u, NULLIF(q, 0))", "-u", "ABS(u)", "CASE WHEN ABS(w) < 1000000000 AND ABS(u) > 0.000001 THEN MOD(w, NULLIF(u, 0)) END")
        + pairs("DECIMAL(18, 10)", "p % NULLIF(q, 0)")
        + pairs("DECIMAL(20, 0)", "CEIL(u)", "FLOOR(u)")
        + pairs("DECIMAL(32, 3)", "ROUND(p, 3)")
        + pairs("DECIMAL(29, 0)", "ROUND(p, -2)", "ROUND(p)", "TRUNCATE(p, -3)", "ROUND(p, 0)")
        + pairs("DECIMAL(31, 2)", "TRUNCATE(p, 2)")
        + pairs("DECIMAL(38, 0)", "FLOOR(p)", "CEIL(p)")
        + pairs("DECIMAL(38, 10)", "SIGN(p)", "LEAST(p, c)", "CASE WHEN c > 0 THEN p ELSE q END")
        + pairs("DECIMAL(10, 2)", "ROUND(q, n)", "TRUNCATE(q, n)", "-q", "MOD(c, NULLIF(q, 0))", "MOD(q, NULLIF(c, 0))")
        + pairs("DECIMAL(12, 2)", "COALESCE(q, c)")
        + pairs("DECIMAL(13, 3)", "q * 0.5", "q * 1.5")
        + pairs("DECIMAL(13, 1)", "c * 1.5")
        + pairs("DECIMAL(13, 2)", "c + q", "q + c")
        + pairs("DECIMAL(10, 1)", "ROUND(q, 1)", "TRUNCATE(q, 1)")
        + pairs("DECIMAL(38, 33)", "u * u")
        + pairs("DECIMAL(23, 11)", "c / NULLIF(q, 0)")
        + pairs("DECIMAL(10, 0)", "CEIL(q)")
        + pairs("DECIMAL(5, 1)", "CAST(p AS DECIMAL(5, 1))", "CAST(q AS DECIMAL(5, 1))")
        + pairs(INT, "CAST(q AS INT)", "CAST(p AS INT)", "CAST(w AS INT)")
        + pairs(BIGINT, "CAST(p AS BIGINT)", "CAST(w AS BIGINT)")
        + pairs(DOUBLE, "CAST(p AS DOUBLE)", "CAST(u AS DOUBLE)", "SQRT(q)", "q * 1e0", "q / 3e0", "POWER(q, 2)")
        + pairs(FLOAT, "CAST(q AS FLOAT)", "CAST(p AS FLOAT)")
        + pairs(STRING, "CAST(p AS STRING)", "CAST(u AS STRING)", "CAST(w AS STRING)", "CAST(q * q AS STRING)")
        + pairs(BOOLEAN, "p > q", "p = q", "q < c", "q >= 2.5", "p BETWEEN q AND w", "q BETWEEN SYMMETRIC c AND 5", "CAST(q AS BOOLEAN)", "q IN (0, 0.01, 5)"),
        "GREATEST of DECIMALs of two types is left out, Flink fails on a NULL; MOD with a quotient beyond 38 digits as well",
    ),
    "cast_numbers": Theme(
        [("x", DOUBLE), ("f", FLOAT), ("c", INT), ("d", BIGINT), ("b", BOOLEAN)],
        lambda r: {"x": maybe(r, special(r)), "f": maybe(r, single(r)), "c": maybe(r, integer(r, 32)), "d": maybe(r, integer(r, 64)), "b": maybe(r, r.random() < 0.5)},
        pairs(STRING, "CAST(x AS STRING)", "CAST(f AS STRING)", "CAST(c AS STRING)", "CAST(d AS STRING)", "CAST(b AS STRING)", "CAST(CAST(x AS FLOAT) AS STRING)", "CAST(CAST(d AS DOUBLE) AS STRING)", "CAST(CAST(c AS FLOAT) AS STRING)")
        + pairs("TINYINT", "CAST(x AS TINYINT)", "CAST(c AS TINYINT)", "CAST(f AS TINYINT)", "CAST(b AS TINYINT)")
        + pairs("SMALLINT", "CAST(x AS SMALLINT)", "CAST(d AS SMALLINT)")
        + pairs(INT, "CAST(x AS INT)", "CAST(f AS INT)", "CAST(d AS INT)", "CAST(b AS INT)")
        + pairs(BIGINT, "CAST(x AS BIGINT)", "CAST(f AS BIGINT)", "CAST(c AS BIGINT)")
        + pairs(FLOAT, "CAST(x AS FLOAT)", "CAST(d AS FLOAT)", "CAST(c AS FLOAT)")
        + pairs(DOUBLE, "CAST(f AS DOUBLE)", "CAST(d AS DOUBLE)", "CAST(b AS DOUBLE)")
        + pairs("DECIMAL(10, 2)", "CAST(c AS DECIMAL(10, 2))", "CAST(d AS DECIMAL(10, 2))", "CAST(b AS DECIMAL(10, 2))", "CASE WHEN ABS(x) < 1e20 THEN CAST(x AS DECIMAL(10, 2)) END", "CASE WHEN ABS(f) < 1e20 THEN CAST(f AS DECIMAL(10, 2)) END")
        + pairs("DECIMAL(38, 18)", "CAST(d AS DECIMAL(38, 18))", "CASE WHEN ABS(x) < 1e20 THEN CAST(x AS DECIMAL(38, 18)) END")
        + pairs(BOOLEAN, "CAST(c AS BOOLEAN)", "CAST(d AS BOOLEAN)", "CAST(x AS BOOLEAN)"),
        "NaN and infinities to DECIMAL fail in Flink and are left out",
    ),
    "cast_text_numbers": Theme(
        [("s", STRING)],
        lambda r: {"s": maybe(r, number_text(r), 0.03)},
        [(t, f"TRY_CAST(s AS {t})") for t in ("TINYINT", "SMALLINT", INT, BIGINT, FLOAT, DOUBLE, "DECIMAL(10, 2)", "DECIMAL(38, 18)", "DECIMAL(38, 0)", BOOLEAN)]
        + pairs(STRING, "CAST(TRY_CAST(s AS DOUBLE) AS STRING)", "CAST(TRY_CAST(s AS DECIMAL(20, 5)) AS STRING)", "CAST(CAST(s AS BYTES) AS STRING)"),
        "",
        rows=420,
    ),
    "cast_text_times": Theme(
        [("s", STRING)],
        lambda r: {"s": maybe(r, time_text(r), 0.03)},
        pairs(DATE, "TRY_CAST(s AS DATE)", "TO_DATE(s)")
        + pairs("TIME(0)", "TRY_CAST(s AS TIME)")
        + pairs("TIMESTAMP(3)", "TRY_CAST(s AS TIMESTAMP(3))", "TO_TIMESTAMP(s)")
        + pairs("TIMESTAMP(6)", "TRY_CAST(s AS TIMESTAMP)")
        + pairs("TIMESTAMP(0)", "TRY_CAST(s AS TIMESTAMP(0))")
        + pairs(STRING, "CAST(TRY_CAST(s AS TIMESTAMP(3)) AS STRING)", "CAST(TRY_CAST(s AS DATE) AS STRING)", "CONVERT_TZ(s, 'UTC', 'Asia/Kolkata')", "DATE_FORMAT(s, 'yyyyMMdd HHmmss')")
        + pairs(BIGINT, "UNIX_TIMESTAMP(s)"),
        "year 0 is left out: Flink fails on it in some casts",
        rows=420,
    ),
    "cast_times": Theme(
        [("t3", "TIMESTAMP(3)"), ("t6", "TIMESTAMP(6)"), ("t0", "TIMESTAMP(0)"), ("d", DATE), ("z", "TIME(0)")],
        lambda r: {"t3": maybe(r, stamp(r, 3)), "t6": maybe(r, stamp(r, 6)), "t0": maybe(r, stamp(r, 0)), "d": maybe(r, day(r)), "z": maybe(r, clock(r))},
        pairs(STRING, "CAST(t3 AS STRING)", "CAST(t6 AS STRING)", "CAST(t0 AS STRING)", "CAST(d AS STRING)", "CAST(z AS STRING)", "CAST(CAST(t6 AS TIMESTAMP(1)) AS STRING)", "CAST(CAST(t6 AS TIMESTAMP(3)) AS STRING)", "CAST(CAST(d AS TIMESTAMP(3)) AS STRING)", "CAST(CAST(t3 AS TIMESTAMP_LTZ(3)) AS STRING)")
        + pairs(DATE, "CAST(t3 AS DATE)", "CAST(t6 AS DATE)")
        + pairs("TIME(0)", "CASE WHEN t3 >= TIMESTAMP '1970-01-01 00:00:00' THEN CAST(t3 AS TIME) END", "CASE WHEN t0 >= TIMESTAMP '1970-01-01 00:00:00' THEN CAST(t0 AS TIME) END")
        + pairs("TIMESTAMP(3)", "CAST(t6 AS TIMESTAMP(3))", "CAST(d AS TIMESTAMP(3))", "CAST(t0 AS TIMESTAMP(3))", "CASE WHEN d > DATE '2000-01-01' THEN t3 ELSE CAST(t0 AS TIMESTAMP(3)) END")
        + pairs("TIMESTAMP(6)", "CAST(t3 AS TIMESTAMP(6))")
        + pairs("TIMESTAMP(0)", "CAST(t3 AS TIMESTAMP(0))", "CAST(t6 AS TIMESTAMP(0))")
        + pairs("TIMESTAMP_LTZ(3)", "CAST(t3 AS TIMESTAMP_LTZ(3))")
        + pairs(BOOLEAN, "t3 < t6", "d = CAST(t3 AS DATE)", "z > TIME '12:00:00'", "d BETWEEN DATE '1970-01-01' AND DATE '2024-12-31'", "t3 >= TIMESTAMP '2000-01-01 00:00:00'", "t3 IS NOT DISTINCT FROM t0"),
        "TIME of a time stamp before 1970 is left out: Flink makes negative ones that no sink can write",
    ),
    "time_parts": Theme(
        [("t", "TIMESTAMP(3)"), ("d", DATE), ("z", "TIME(0)")],
        lambda r: {"t": maybe(r, stamp(r, 3)), "d": maybe(r, day(r)), "z": maybe(r, clock(r))},
        pairs(BIGINT, *[f"EXTRACT({u} FROM t)" for u in ("MILLENNIUM", "CENTURY", "DECADE", "YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "DOY", "DOW", "ISODOW", "ISOYEAR", "HOUR", "MINUTE", "SECOND", "MILLISECOND", "EPOCH")])
        + pairs(BIGINT, *[f"EXTRACT({u} FROM d)" for u in ("CENTURY", "DECADE", "YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "DOY", "DOW", "ISOYEAR")])
        + pairs(BIGINT, "EXTRACT(HOUR FROM z)", "EXTRACT(SECOND FROM z)", "YEAR(t)", "QUARTER(d)", "MONTH(d)", "WEEK(t)", "DAYOFYEAR(d)", "DAYOFMONTH(t)", "DAYOFWEEK(d)", "HOUR(t)", "MINUTE(z)", "SECOND(t)")
        + pairs("TIMESTAMP(3)", *[f"FLOOR(t TO {u})" for u in ("DECADE", "YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND")])
        + pairs("TIMESTAMP(3)", *[f"CEIL(t TO {u})" for u in ("YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND")])
        + pairs(DATE, *[f"FLOOR(d TO {u})" for u in ("DECADE", "YEAR", "QUARTER", "MONTH", "WEEK")], *[f"CEIL(d TO {u})" for u in ("YEAR", "MONTH", "WEEK")])
        + pairs("TIME(0)", "FLOOR(z TO HOUR)", "CASE WHEN z < TIME '23:00:00' THEN CEIL(z TO MINUTE) END"),
        "",
    ),
    "time_formats": Theme(
        [("t", "TIMESTAMP(3)"), ("n", BIGINT), ("s", STRING), ("p", STRING)],
        lambda r: {"t": maybe(r, stamp(r, 3)), "n": maybe(r, r.choice([0, -1, 1, 86399, 951782400, 253402300799, r.randrange(-10**10, 10**10)])),
                   "s": maybe(r, r.choice([stamp(r, 3), day(r), day(r).replace("-", "/"), stamp(r, 0).replace(" ", "T"), clock(r), "2024-2-3", "31.12.2024", "20240229", "20240229235959", "9 Feb 2024", "2024-02-30", "2023-02-29 10:00:00", "x", "2024-13-01"])),
                   "p": r.choice(["yyyy-MM-dd", "yyyy-MM-dd HH:mm:ss", "yyyy/MM/dd", "yyyy-MM-dd'T'HH:mm:ss", "HH:mm:ss", "dd.MM.yyyy", "yyyyMMdd", "yyyyMMddHHmmss", "d MMM yyyy", "yyyy-MM-dd HH:mm:ss.SSS", "yyyy-M-d"])},
        pairs(STRING, "DATE_FORMAT(t, 'yyyy-MM-dd HH:mm:ss.SSS')", "DATE_FORMAT(t, 'yy/M/d h:m:s a')", "DATE_FORMAT(t, 'EEE, EEEE d MMM MMMM')", "DATE_FORMAT(t, 'D K k H')", "DATE_FORMAT(t, 'yyyyMMdd''T''HHmmss')", "DATE_FORMAT(t, 'Q q QQQ')", "DATE_FORMAT(t, 'e c')", "DATE_FORMAT(t, 'w W')", "DATE_FORMAT(t, 'YYYY-ww')", "DATE_FORMAT(t, 'G A n N')", "DATE_FORMAT(t, p)", "FROM_UNIXTIME(n)", "FROM_UNIXTIME(n, 'yyyy/MM/dd HH')", "FROM_UNIXTIME(n, 'EEE d MMM yy h:mm a')")
        + pairs(DATE, "TO_DATE(s, p)")
        + pairs("TIMESTAMP(3)", "TO_TIMESTAMP(s, p)", "TO_TIMESTAMP(s)")
        + pairs(BIGINT, "UNIX_TIMESTAMP(s, p)")
        + pairs("TIMESTAMP_LTZ(3)", "TO_TIMESTAMP_LTZ(n, 0)", "TO_TIMESTAMP_LTZ(n, 3)"),
        "names of months and days are those of an English locale",
        rows=420,
    ),
    "time_arithmetic": Theme(
        [("t", "TIMESTAMP(3)"), ("u", "TIMESTAMP(3)"), ("d", DATE), ("e", DATE), ("z", "TIME(0)"), ("n", INT)],
        lambda r: {"t": maybe(r, modern(r, 3)), "u": maybe(r, modern(r, 3)), "d": maybe(r, modern(r, 0)[:10]), "e": maybe(r, modern(r, 0)[:10]), "z": maybe(r, clock(r)), "n": maybe(r, r.choice([0, 1, -1, 2, 12, -13, 30, 100, -400]))},
        pairs("TIMESTAMP(3)", "t + INTERVAL '1' DAY", "t - INTERVAL '90' MINUTE", "t + INTERVAL '1' MONTH", "t - INTERVAL '1-2' YEAR TO MONTH", "t + INTERVAL '1 02:03:04.005' DAY TO SECOND", "t + n * INTERVAL '1' HOUR", "t + n * INTERVAL '1' MONTH", "INTERVAL '1' YEAR + t", "t + INTERVAL -'5' SECOND", "t + INTERVAL '1' WEEK", "t - INTERVAL '1' QUARTER")
        + pairs("TIMESTAMP(3)", *[f"TIMESTAMPADD({u}, n, t)" for u in ("SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "QUARTER", "YEAR")])
        + pairs(DATE, "d + INTERVAL '1' MONTH", "d - INTERVAL '1' DAY", "d + INTERVAL '3' YEAR", "TIMESTAMPADD(DAY, n, d)", "TIMESTAMPADD(MONTH, n, d)", "TIMESTAMPADD(WEEK, n, d)", "TIMESTAMPADD(YEAR, n, d)", "GREATEST(d, e)")
        + pairs("TIME(0)", "z + INTERVAL '15' HOUR", "z - INTERVAL '90' MINUTE")
        + pairs(INT, *[f"TIMESTAMPDIFF({u}, t, u)" for u in ("SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "QUARTER", "YEAR")], *[f"TIMESTAMPDIFF({u}, d, e)" for u in ("DAY", "WEEK", "MONTH", "YEAR")], "TIMESTAMPDIFF(HOUR, d, t)", "TIMESTAMPDIFF(MINUTE, z, TIME '12:00:00')")
        + pairs(BOOLEAN, "(t, u) OVERLAPS (TIMESTAMP '2000-01-01 00:00:00', INTERVAL '10' YEAR)", "(d, INTERVAL '1' MONTH) OVERLAPS (e, INTERVAL '1' YEAR)", "t BETWEEN u - INTERVAL '99' DAY AND u", "t < u"),
        "",
    ),
    "time_zone": Theme(
        [("z", "TIMESTAMP_LTZ(3)"), ("t", "TIMESTAMP(3)"), ("n", BIGINT)],
        lambda r: {"z": maybe(r, modern(r, 3) + "Z"), "t": maybe(r, modern(r, 3)), "n": maybe(r, r.choice([0, -1, 1711846800, 1729987200, 1729990800, r.randrange(0, 2 * 10**9)]))},
        pairs(STRING, "CAST(z AS STRING)", "DATE_FORMAT(z, 'yyyy-MM-dd HH:mm:ss')", "FROM_UNIXTIME(n)", "CONVERT_TZ(CAST(t AS STRING), 'Europe/Berlin', 'America/New_York')", "CONVERT_TZ(DATE_FORMAT(t, 'yyyy-MM-dd HH:mm:ss'), 'Europe/Berlin', 'UTC')", "CONVERT_TZ(DATE_FORMAT(t, 'yyyy-MM-dd HH:mm:ss'), 'UTC', 'GMT+05:30')")
        + pairs("TIMESTAMP(3)", "CAST(z AS TIMESTAMP(3))")
        + pairs(DATE, "CAST(z AS DATE)")
        + pairs("TIME(0)", "CAST(z AS TIME)")
        + pairs("TIMESTAMP_LTZ(3)", "CAST(t AS TIMESTAMP_LTZ(3))", "z + INTERVAL '1' DAY", "z - INTERVAL '90' MINUTE", "z + INTERVAL '1' MONTH", "TIMESTAMPADD(MONTH, 1, z)", "TIMESTAMPADD(DAY, -1, z)", "FLOOR(z TO DAY)", "FLOOR(z TO HOUR)", "CEIL(z TO DAY)", "FLOOR(z TO MONTH)", "TO_TIMESTAMP_LTZ(n, 0)")
        + pairs(BIGINT, "HOUR(z)", "EXTRACT(DAY FROM z)", "EXTRACT(EPOCH FROM z)", "WEEK(z)", "UNIX_TIMESTAMP(DATE_FORMAT(t, 'yyyy-MM-dd HH:mm:ss'))", "UNIX_TIMESTAMP(DATE_FORMAT(t, 'yyyy/MM/dd HH'), 'yyyy/MM/dd HH')")
        + pairs(INT, "TIMESTAMPDIFF(HOUR, z, TO_TIMESTAMP_LTZ(n, 0))", "TIMESTAMPDIFF(DAY, z, TO_TIMESTAMP_LTZ(n, 0))")
        + pairs(BOOLEAN, "z < TO_TIMESTAMP_LTZ(n, 0)", "z = CAST(t AS TIMESTAMP_LTZ(3))"),
        "years 1975 to 2035, where zones have one known rule each",
        zone="Europe/Berlin",
    ),
    "mixed": Theme(
        [("a", "TINYINT"), ("c", INT), ("d", BIGINT), ("f", FLOAT), ("x", DOUBLE), ("q", "DECIMAL(10, 2)"), ("k", STRING), ("t", "TIMESTAMP(3)"), ("e", DATE)],
        lambda r: {"a": maybe(r, integer(r, 8)), "c": maybe(r, r.choice([0, 1, 2, 5, -3, integer(r, 32)])), "d": maybe(r, integer(r, 64)), "f": maybe(r, r.choice([0.0, 0.5, 1.0, 2.5, -3.0, 1e10, "NaN", "Infinity", round(r.uniform(-100, 100), 2)])),
                   "x": maybe(r, r.choice([0.0, -0.0, 0.5, 1.0, 2.5, "NaN", "-Infinity", round(r.uniform(-100, 100), 2)])), "q": maybe(r, decimal(r, 6, 2)), "k": maybe(r, r.choice(["0", "1", "2", "5", "-3", "12", "7", "100"])), "t": maybe(r, modern(r, 0)), "e": maybe(r, modern(r, 0)[:10])},
        pairs(BOOLEAN, "k > 3", "k < c", "k BETWEEN 1 AND 10", "k IN (1, 2, 12)", "k >= q", "k < x", "c = x", "f = x", "f = 0.5", "f > q", "x > q", "x = q", "f < c", "d = f", "f <> x", "x IS NOT DISTINCT FROM f", "c IN (1, 2.5)", "x IN (1, 2)", "f IN (1, 2.5, 0)", "x BETWEEN 0 AND 2.5", "x NOT BETWEEN f AND 1", "t > '2004-01-01 00:00:00'", "e = '2024-02-29'", "e < '2004-05-06'", "t BETWEEN '1990-01-01 00:00:00' AND '2025-01-01 00:00:00'", "CASE x WHEN 0 THEN TRUE WHEN 1 THEN FALSE END")
        + pairs(FLOAT, "f + d", "d + f", "c - f", "f * 2", "f / 2", "a + f", "CASE WHEN c > 0 THEN f ELSE x END", "CASE WHEN c > 0 THEN f ELSE c END", "IF(c > 0, f, 2)", "GREATEST(f, c)", "NULLIF(f, 0)", "f + x")
        + pairs(DOUBLE, "f + q", "q * f", "f * 1.5", "x + f", "c / x", "x * q", "COALESCE(f, x)", "COALESCE(x, q)", "IFNULL(f, x)", "CASE WHEN c > 0 THEN f ELSE q END", "CASE WHEN c > 0 THEN q ELSE x END", "GREATEST(c, x)", "NULLIF(x, 1)")
        + pairs("DECIMAL(38, 10)", "CASE WHEN c > 0 THEN c ELSE q END", "COALESCE(d, 1.5)", "IFNULL(c, 1.5)", "c / 0.5", "IF(c > 1, 2, 2.5)")
        + pairs(BIGINT, "IF(c > 0, a, d)", "COALESCE(a, d)", "CASE WHEN c > 0 THEN a ELSE d END")
        + pairs(INT, "NULLIF(c, 1.5)", "COALESCE(a, 1)", "a * c")
        + pairs(STRING, "TYPEOF(c)", "TYPEOF(q)", "TYPEOF(k)", "TYPEOF(f * 2)", "TYPEOF(t)", "TYPEOF(q * q)", "TYPEOF(f + x)"),
        "",
    ),
    "hash": Theme(
        [("s", STRING), ("h", STRING), ("n", INT)],
        lambda r: {"s": maybe(r, text(r)[:40]), "h": maybe(r, r.choice(["", "41", "4", "c3BC", "zz", "00ff", "616", "E697A5"])), "n": maybe(r, r.choice([224, 256, 384, 512]))},
        pairs(STRING, "MD5(s)", "SHA1(s)", "SHA224(s)", "SHA256(s)", "SHA2(s, n)", "TO_BASE64(s)", "FROM_BASE64(TO_BASE64(s))", "HEX(s)", "DECODE(ENCODE(s, 'UTF-8'), 'UTF-8')", "DECODE(ENCODE(s, 'ISO-8859-1'), 'ISO-8859-1')", "DECODE(ENCODE(s, 'UTF-16BE'), 'UTF-16BE')", "DECODE(ENCODE(s, 'US-ASCII'), 'US-ASCII')")
        + pairs("BYTES", "UNHEX(h)", "ENCODE(s, 'UTF-16')", "ENCODE(s, 'UTF-16LE')", "CAST(s AS BYTES)"),
        "SHA384 and SHA512 alone are left out: SHA2 has both",
    ),
    "url": Theme(
        [("s", STRING), ("p", STRING), ("k", STRING)],
        lambda r: {"s": maybe(r, url(r)), "p": maybe(r, r.choice(["HOST", "PATH", "QUERY", "REF", "PROTOCOL", "FILE", "AUTHORITY", "USERINFO", "host", ""]), 0.03), "k": maybe(r, r.choice(["k", "a", "unit", "kk", "", "k.", "("]), 0.03)},
        pairs(STRING, "PARSE_URL(s, p)", "PARSE_URL(s, 'QUERY', k)", "PARSE_URL(s, p, 'k')", "PARSE_URL(s, 'HOST')", "PARSE_URL(s, 'PATH')", "PARSE_URL(s, 'FILE')", "URL_ENCODE(s)", "URL_DECODE(s)", "URL_DECODE(URL_ENCODE(s))")
        + pairs(BIGINT, "INET_ATON(s)"),
        "",
        rows=300,
    ),
}


def url(r):
    edge = ["", "abc", "mqtt://h/x", "ftp://h/x;type=a", "file:/a/b", "file:///a/b", "http://", "http:", "http:/p", "http:p", "http:///p", "http://h:x/", "http://h:-1/", "http://h:99999/", "HTTP://H/P", "jar:file:/a!/b", "jar:abc", "mailto:a@b", " http://h/p ", "url:http://h/p", "http://[::1]:8/x", "http://[::1/x", "http://h/a/../b", "http://h/./a", "http://h?q=1", "http://h#f?x", "http://h/p?k=1&kk=2&a", "http://h/p?=1&k=", "http://a b/c", "http://h/%zz?k=%41", "a+b%20c", "%E6%97%A5", "%", "%4", "%gg", "ü ~*-_.!'()", "https://u:p@h.com:443/x/y.html;p=1?a=1&k=2#frag#2", "http://u@h@i/x", "//h/p", "1.2.3.4", "127.1", "256.1.1.1", "1.2.3.4.5", "0x7f.1", "::1", " 1.2.3.4", "1..2", "4294967295", "4294967296", "01.02.03.04", "http://h/p?unit=C&k=日本#ü"]
    if r.random() < 0.55:
        return r.choice(edge)
    scheme = r.choice(["http", "https", "ftp", "http", "https"])
    user = r.choice(["", "", "", "me@", "u:pw@"])
    port = r.choice(["", "", ":80", ":8080"])
    path = r.choice(["", "/", "/a", "/a/b.html", "/sensors/7/temp", "/ü"])
    query = r.choice(["", "", "?k=v", "?a=1&k=2&unit=C", "?unit=%C2%B0C", "?k", "?"])
    ref = r.choice(["", "", "#top", "#"])
    return f"{scheme}://{user}{r.choice(['h', 'example.com', 'Host.Local', '10.0.0.1'])}{port}{path}{query}{ref}"


if __name__ == "__main__":
    for chosen in sys.argv[1:] or THEMES:
        write(chosen, THEMES[chosen])
