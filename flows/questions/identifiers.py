"""Identifiers: columns of numbers that name or number things, so that no mean, sum or fit of them says anything.

Told by the column's name, in the manners of several languages, and by its values where these leave no doubt. A name
that counts ("Number of rooms", num_orders) or measures (price, Income) keeps its column a measure.
"""

from __future__ import annotations

import re
import unicodedata

from flows.tables.profiling import ColumnProfile

MIN_DISTINCT = 11
"""Distinct values from which on evenly spaced or evenly repeated whole numbers are taken for numbering."""
LEAST_ROWS = 30
"""Rows from which on large whole numbers that are all different tell something."""
_EXACT = 2.0**53
"""From here on floats skip whole numbers: nothing is added up exactly."""
_LONG = 9
"""Digits that all values of an amount seldom have."""
_EPOCHS = ((6e8, 2.3e9), (6e11, 2.3e12), (6e14, 2.3e15), (6e17, 2.3e18))
"""Seconds, milliseconds, microseconds and nanoseconds since 1970, from 1989 to 2042."""


def _plain(text: str) -> str:
    apart = unicodedata.normalize("NFKD", text)
    # Folded last: taken apart, № is "No".
    return "".join(sign for sign in apart if not unicodedata.combining(sign)).casefold()


def _words(text: str) -> frozenset[str]:
    """Words as `name_words` has them, however they are written here."""
    return frozenset(map(_plain, text.split()))


_ALWAYS = _words(
    """id ids uuid guid key zip zipcode postcode postalcode pincode postal plz cep fips naics nace isic ssn isbn issn
    ean upc gtin sku asin oclc imei iban geoid geocode cusip isin permno gvkey cik duns siren siret cpf cnpj snils
    hash md5 sha1 sha256 checksum barcode serial epoch unixtime timestamp icd icd9 icd10 icd9cm icd10cm hcpcs
    ndc snomed loinc rowid rownum objectid msisdn npi ccn kennziffer kennung matrikel identifier identificador
    identificateur uid pid gid sid cid
    matricula icd cpt icpc"""
)
"""Last words of names that identify, whatever the values."""
_DIALLED = _words("phone telephone telefon telefono telefone tel fax mobile handy")
_PINS = _words("pin")
"""What is a code where all of it has four digits or more, and else a count of pins."""
_CODES = _words("code codes codigo codice kod kode schluessel schlussel kennzahl koodi код")
_CODE_OF = _words("postal insee commune naf ape pays iso barre fiscale ibge de du di da del des")
_NUMBERS = _words("number num no nr nbr nro nummer numero numer numara номер # n°")
_THINGS = _words(
    """account acct apartment apt article auftrag auftrags badge batch bestell bib bill bus cabin car carriage case
    cell chapter chassis cheque child client cliente coach commande compte contract contrat cuenta customer desk
    device dock docket document door dossier driver emp empleado employe employee episode event exam facility
    factura facture file firm flat flight flug folio game gate grant haus horse hospital house individual inscription
    invoice item jersey kit klient klienta konto kunden lane licence license line linien loan locker lot match
    matricula member membership meter model obs observation order ordine page pallet parcel part participant
    passport patient pedido permit person personal phone plate platform player plot policy precinct product produit
    project protocol provider race rack raum receipt rechnungs record reg registration respondent roll room route
    row sample school seat sensor seq sequence serial series shelf shirt site sitzplatz slot socio spieler squad
    staff stall station stop student subject suite survey table tag tax team telephone terminal ticket track
    tracking train transaction tree trial trikot trip truck uniform unit user usuario vehicle volume wagon ward well
    zimmer заказа клиента счета"""
)
"""What has a number: an order, a customer."""
_CODED = _words(
    """category categorie categoria kategorie class classe type typ tipo region district county province state kreis
    departement department dept division ward zone sector industry cluster stratum strata psu block street station
    location inst institution hospital firm company branch store shop facility site respondent subject individual
    patient participant person household client customer user employee student team player observation obs record
    row case replicate rep group grp panel item rank seq sequence badge flight gate jersey locker precinct route
    tract bib chapter verse"""
)
"""What whole numbers of such a name tell apart, and measure nothing of."""
_DATES = _words("date datum fecha dato datetime tarih")
_YEARS = _words(
    "year yr jahr année ano anno år jaar rok год season vintage born yob founded established built fy baujahr"
)
_CALENDAR = {
    **dict.fromkeys(_words("month mon monat mois mes mese maand manad"), 12.0),
    **dict.fromkeys(_words("weekday dow wochentag dayofweek quarter quartal qtr trimestre"), 7.0),
    **dict.fromkeys(_words("day mday tag jour dia dayofmonth"), 31.0),
    **dict.fromkeys(_words("week woche semaine semana kw"), 53.0),
    **dict.fromkeys(_words("hour hr stunde heure hora"), 24.0),
    **dict.fromkeys(_words("yday doy dayofyear"), 366.0),
}
_PLACES = {
    **dict.fromkeys(_words("lat latitude intptlat breitengrad latitud"), 90.0),
    **dict.fromkeys(_words("lon lng long longitude intptlon intptlong langengrad longitud"), 180.0),
}
_GRID = _words("northing easting xcoord ycoord")
_MEASURED = _words(
    """age alter amount area average avg balance betrag budget calories capacity capital charge consumption cost
    costs count counts crime deaths debt depth dist distance duration earnings einkommen energy expenditure
    expenses exports fare flow frequency gdp gewicht gnp gross height hours imports income ingreso length level
    loss m1 m2 marks mass max mean median mileage miles min minutes money net output pay pop population precio
    pressure preis price prix production profit profits quantity rainfall rate rating ratio revenue rpm salaire
    salary salario sales score share size speed spend spending std stock sum temp temperature total umsatz value
    valeur valor volume votes wage wages weight width worth years yield"""
)
"""Words of a name that measure: its values alone do not make an identifier of it."""
_CHANGES = _words("delta diff difference change dist distance error offset shift range span")
_NO_ID = _words(
    """acid aid amid android asteroid avid bid braid centroid covid fluid grid humid hybrid kid lid lipid liquid
    mid paid placid plaid pyramid raid rapid said sigmoid solid squid rancid steroid thyroid valid void
    unpaid prepaid"""
)
"""Words that end in id and are none."""
_TIMED = _words("s sec secs second seconds ms msec millis milliseconds us ns utc unix time ts at on stamp")
_CLOCKS = _words(
    """time clock hour departure dep arrival arr zeit uhrzeit uhr abfahrt ankunft heure hora ora orario tijd godzina
    время"""
)
_LASTING = _words(
    """air elapsed lap lead reaction response run running spent survival total travel taken wait waiting walking
    dauer laufzeit amount average avg cost count delay duration length max mean median min sales sum value votes"""
)
"""Words of a time that passes, or of what is measured over it, and of no time of the clock."""
_AXES = _words("t time zeit temps tiempo step")
_PIECES = re.compile(r"[nN][°º]|[A-ZÀ-ÞА-Я]+(?![a-zà-ÿа-я])|[A-ZÀ-ÞА-Я]?[a-zà-ÿа-я]+|\d+|[#№]")


def is_identifier(column: ColumnProfile, rows: int) -> bool:
    """Whether numbers of a column name or number things: ids, codes, row numbers, phone numbers, epochs, coordinates.

    Calendar years are among them. Text, booleans and dates are not: nobody averages those.

    Args:
        column: Its profile.
        rows: Rows of the table.
    """
    if column.kind not in ("integer", "number") or column.min is None or column.max is None:
        return False
    words = name_words(column.name)
    present = rows - column.missing
    return (
        column.id_like
        or named_like_key(column.name)
        or is_coded(column)
        or _has_number(column, words, present)
        or is_calendar_part(column)
        or _is_clock_time(column, words)
        or _looks_like_years(column, words)
        or _is_place(column, words)
        or _is_epoch(column, words)
        or _numbers_rows(column, words, present)
        or _is_long_number(column, words, present)
    )


def identifies(column: ColumnProfile, rows: int) -> bool:
    """Whether a model's program may compute nothing of a column: an identifier, but for years, hours and coordinates.

    A person may well ask for the mean year of construction or the centre of some places.
    """
    words = name_words(column.name)
    return is_identifier(column, rows) and not (
        is_calendar_part(column) or _looks_like_years(column, words) or _is_place(column, words)
    )


def is_year(column: ColumnProfile) -> bool:
    """Whether the column holds calendar years, by its name and its range."""
    return _in_years(column, 1500, 2200) and any(
        word in _YEARS or (len(word) > 4 and word.endswith(("year", "jahr"))) for word in name_words(column.name)
    )


def is_calendar_part(column: ColumnProfile) -> bool:
    """Whether the column holds years, months, days or hours of the calendar as whole numbers, by its name and range."""
    if column.kind not in ("integer", "number") or column.min is None or column.max is None or column.whole is False:
        return False
    last = next((word for word in reversed(name_words(column.name)) if not word.isdigit()), "")
    return last in _YEARS or is_year(column) or (column.min >= 0 and column.max <= _CALENDAR.get(last, -1.0))


def is_coded(column: ColumnProfile) -> bool:
    """Diagnosis code, código postal, dept, day numbers of a date: by the name, if the values do not contradict it."""
    words = name_words(column.name)
    named = tuple(word for word in words if not word.isdigit())
    if not named or column.min is None or column.max is None:
        return False
    if named[-1] in _CODES:
        return not {"lines", "of"}.intersection(named)
    if len(named) > 1 and named[0] in _CODES:
        return named[1] in _CODE_OF or named[1] in _THINGS
    if named[-1] in _DIALLED:
        return column.whole is True and column.max >= 10_000
    if named[-1] in _PINS:
        return column.whole is True and (column.digits or 0) >= 4
    if named[-1] in _DATES:
        return True
    return words[-1] in _CODED and column.whole is True and column.min >= 0


def name_words(name: str) -> tuple[str, ...]:
    """The words of a column's name in lower case, without accents: camelCase, snake_case, blanks part them."""
    return tuple(_plain(piece) for piece in _PIECES.findall(unicodedata.normalize("NFC", name)))


def named_like_key(name: str) -> bool:
    """Whether a name alone says that its column identifies something, whatever it holds."""
    words = name_words(name)
    if not words:
        return False
    last = words[-1]
    return (
        next((word for word in reversed(words) if not word.isdigit()), "") in _ALWAYS
        or (len(last) > 3 and last.endswith("id") and last not in _NO_ID)
        or (name.startswith(("ID_", "id_", "Id_", "ID ", "Id ")) and len(words) > 1)
        or "".join(words).startswith("unnamed")
    )


def _in_years(column: ColumnProfile, first: int, last: int) -> bool:
    return (
        column.kind in ("integer", "number")
        and column.min is not None
        and column.max is not None
        and first <= column.min <= column.max <= last
        and column.min.is_integer()
        and column.max.is_integer()
        and column.whole is not False
    )


def _looks_like_years(column: ColumnProfile, words: tuple[str, ...]) -> bool:
    return column.kind == "integer" and _in_years(column, 1850, 2035) and not _MEASURED.intersection(words)


def _has_number(column: ColumnProfile, words: tuple[str, ...], present: int) -> bool:
    """EmployeeNumber, Order #, Invoice No., Kundennummer, número de cliente; never "number of rooms" or num_orders."""
    if not words or column.whole is not True:
        return False
    first, last = words[0], words[-1]
    for end in ("nummer", "numero", "number", "num", "nr", "no"):
        if last.endswith(end) and last.removesuffix(end) in _THINGS | _CODED:
            return True
    if last in _NUMBERS:
        return (len(words) > 1 and words[-2] in _THINGS | _CODED) or _looks_numbered(column, present)
    return first in _NUMBERS and "of" not in words and last in _THINGS and _looks_numbered(column, present)


def _looks_numbered(column: ColumnProfile, present: int) -> bool:
    """Whole numbers that are nearly all different, or all equally long and not short."""
    distinct = column.unique or 0
    return (distinct > 0.9 * present and distinct >= MIN_DISTINCT) or (column.digits or 0) >= 4


def _is_place(column: ColumnProfile, words: tuple[str, ...]) -> bool:
    """Latitude and longitude: a mean of longitudes may lie on the wrong side of the world, a ratio lies nowhere."""
    if _CHANGES.intersection(words) or column.min is None or column.max is None:
        return False
    if _GRID.intersection(words):
        return True
    named = next((word for word in reversed(words) if word in _PLACES), "")
    # "long" is a word of another meaning as well: whole numbers are no degrees.
    return bool(named) and max(-column.min, column.max) <= _PLACES[named] and column.whole is not True


def _is_clock_time(column: ColumnProfile, words: tuple[str, ...]) -> bool:
    """Times of day written as whole numbers, 1435 for 14:35: no mean of them is one."""
    if column.whole is not True or column.min is None or column.max is None:
        return False
    if "hhmm" in "".join(words):
        return column.min >= 0 and column.max <= 240_000
    named = any(word in _CLOCKS or word.endswith(("time", "zeit")) for word in words)
    return column.clock_times and named and not _LASTING.intersection(words)


def _is_epoch(column: ColumnProfile, words: tuple[str, ...]) -> bool:
    if column.min is None or column.max is None:
        return False
    low, high = column.min, column.max
    in_range = any(first <= low and high <= last for first, last in _EPOCHS)
    named = _TIMED.intersection(words) or any(word.endswith(("time", "stamp", "date")) for word in words)
    return in_range and bool(named)


def _numbers_rows(column: ColumnProfile, words: tuple[str, ...], present: int) -> bool:
    """1, 2, 3 …, in any order; steps of ten; 1 to 59 with four rows each: numbering, or the plan of an experiment."""
    distinct = column.unique or 0
    if distinct < MIN_DISTINCT or not column.evenly_spaced or column.repeats is None or _MEASURED.intersection(words):
        return False
    least, most = column.repeats
    if most == 1:
        return column.whole is True or bool(_AXES.intersection(words))
    if column.whole is not True or column.min not in (0.0, 1.0):
        return False
    return least == most or (column.rising is True and most <= 3 * least and present >= 2 * distinct)


def _is_long_number(column: ColumnProfile, words: tuple[str, ...], present: int) -> bool:
    """Numbers too long to be added up exactly; or longer than amounts are, and equally long."""
    if column.whole is not True or column.min is None or column.max is None:
        return False
    if max(-column.min, column.max) >= _EXACT:
        return True
    if _MEASURED.intersection(words) or column.repeats is None or present < LEAST_ROWS:
        return False
    distinct = column.unique or 0
    if (column.digits or 0) >= _LONG and distinct > 0.5 * present:
        return True
    # Rising numbers with few gaps: rows that were numbered before some were taken out.
    return column.repeats[1] == 1 and column.rising is True and column.max - column.min < 2 * distinct
