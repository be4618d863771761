"""Made-up people: leads as publishers send them, with names in several scripts, and what goes wrong with some."""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import dataclass, field

# One lead of each portal that is accepted and judged valid, and one that is accepted but tells of nobody.
GOOD_LEADS = {
    "portal": {
        "email": "amelia.hartwell@quarrybank.example",
        "firstName": "Amelia",
        "lastName": "Hartwell",
        "company": "Quarry Bank Mills",
        "jobTitle": "Head of Operations",
        "telephone": "(+44)02079460132",
        "country": "GB",
        "employees": "250-999",
        "interests": "analytics,security",
        "preferredDate": "2026-05-14",
        "budget": "25000",
        "newsletter": "1",
        "utmSource": "newsletter-12",
    },
    "client": {
        "email": "amelia.hartwell@quarrybank.example",
        "first_name": "Amelia",
        "surname": "Hartwell",
        "organisation": "Quarry Bank Mills",
        "job_role": "Head of Operations",
        "phone": "(+44)02079460132",
        "country": "United Kingdom",
        "company_size": "L",
        "interests": "analytics,security",
        "webinar_date": "14/05/2026",
        "source": "Brightwater / Inkwell Publishing",
        "programme": "SPRING-26",
    },
}
_NOBODY = {"email": "test@test.example", "company": "Test", "jobTitle": "test", "telephone": "(+44)0000000000"}
BAD_LEADS = {
    "portal": {**_NOBODY, "firstName": "aaaaaa", "lastName": "aaaaaa", "country": "GB"},
    "client": {
        "email": _NOBODY["email"],
        "first_name": "aaaaaa",
        "surname": "aaaaaa",
        "organisation": "Test",
        "job_role": "test",
        "phone": _NOBODY["telephone"],
        "country": "United Kingdom",
        "source": "test",
        "programme": "SPRING-26",
    },
}

# Country, telephone prefix with room for digits, given names, family names, what the e-mail address is made of.
_ORIGINS: tuple[tuple[str, str, str, str], ...] = (
    ("GB", "(+44)020794601##", "Amelia Oliver Siân Priya Callum", "Hartwell O'Neill Pryce-Jones Okafor Whitby"),
    ("DE", "(+49)030239460##", "Jürgen Anneliese Björn Käthe Mehmet", "Müller Groß Schäfer Öztürk Weiß"),
    ("FR", "(+33)01992412##", "Élodie Benoît Zoé François Inès", "Lefèvre Dubois-Noël Gauthier Bérenger Haddad"),
    ("ES", "(+34)9101234##", "Íñigo Begoña José María Lucía Martín", "Núñez Ibáñez Peña Etxeberria Muñoz"),
    ("PL", "(+48)22460##12", "Łukasz Żaneta Grażyna Wojciech Zofia", "Wiśniewski Żółkoś Dąbrowska Śliwa Nowak"),
    (
        "GR",
        "(+30)21012345##",
        "Ελένη Γιώργος Κατερίνα Νίκος Σοφία",
        "Παπαδοπούλου Αντωνίου Καραγιάννης Βασιλείου Ιωάννου",
    ),
    ("UA", "(+380)4423456##", "Оксана Тарас Ганна Андрій Юлія", "Шевченко Коваленко Гнатюк Мельник Їжак"),
    ("AE", "(+971)042345##6", "ليلى أحمد فاطمة يوسف مريم", "الهاشمي المنصوري حداد النجار قاسم"),
    ("IL", "(+972)0351234##", "נועה איתן תמר יוסף מיכל", "כהן לוי מזרחי פרידמן אברהם"),
    ("JP", "(+81)03123456##", "結衣 大翔 陽菜 健太 さくら", "佐藤 鈴木 高橋 渡辺 小林"),
    ("KR", "(+82)021234##67", "서연 민준 지우 도윤 하은", "김 이 박 최 정"),
    ("IN", "(+91)01123456##", "आरव अनन्या Rohan Ishaan दिया", "शर्मा वर्मा Iyer Banerjee पटेल"),
    ("US", "(+1)20255501##", "Jamal Rosa Kayla Hunter Mei", "Washington Delgado Ng McAllister Kowalski"),
)
_COMPANIES = (
    "Quarry Bank Mills", "Nordlicht Logistik GmbH", "Ateliers du Rhône", "Olivar y Sol S.L.", "Bałtyk Foods sp. z o.o.",
    "Αιγαίο Ναυτιλιακή", "Карпати Меблі", "دار النخيل للتجارة", "さくら製作所", "한빛소프트", "Blue Ridge Instruments",
    "Smith & Sons \"Precision\" Ltd", "Ganga Textiles Pvt. Ltd",
)  # fmt: skip
_JOBS = (
    "Head of Operations",
    "Einkaufsleiter",
    "IT Manager",
    "Directrice marketing",
    "CFO",
    "Data Engineer",
    "営業部長",
)
_SOURCES = ("newsletter-12", "home-banner", "webinar-partner", "linkedin")
LATIN = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Person:
    """One made-up lead: what kind it is and the values to post, by bare input name (optin.terms for form[optin][terms])."""

    kind: str  # valid, invalid, duplicate
    values: dict[str, str] = field(default_factory=dict)
    why: str = ""


def people(count: int, seed: int) -> list[Person]:
    """So many made-up leads, the same for the same seed: about 8 in 10 valid, 1 invalid, 1 a duplicate of an earlier one."""
    chance = random.Random(seed)  # noqa: S311  nothing is guarded by it
    made: list[Person] = []
    valid: list[dict[str, str]] = []
    for number in range(count):
        roll = chance.random()
        if roll < 0.1 and valid:
            made.append(Person("duplicate", dict(chance.choice(valid))))
        elif roll < 0.2:
            made.append(_invalid(_valid(chance, number), chance))
        else:
            valid.append(_valid(chance, number))
            made.append(Person("valid", valid[-1]))
    return made


def _valid(chance: random.Random, number: int) -> dict[str, str]:
    country, telephone, given, family = chance.choice(_ORIGINS)
    first, last = chance.choice(given.split()), chance.choice(family.split())
    plain = "".join(letter for letter in f"{first}.{last}".lower() if letter in LATIN + ".").strip(".")
    mailbox = f"{plain or 'lead'}.{number}{chance.randrange(10**6):06d}"
    day = dt.date(2026, 5, 4) + dt.timedelta(days=chance.randrange(20))
    digits = "".join(str(chance.randrange(10)) if sign == "#" else sign for sign in telephone)
    values = {
        "email": f"{mailbox}@{chance.choice(['mail', 'post', 'firma', 'corp'])}.example",
        "firstName": first,
        "lastName": last,
        "company": chance.choice(_COMPANIES),
        "country": country,
        "employees": chance.choice(["1-49", "50-249", "250-999", "1000+"]),
    }
    optional = {
        "jobTitle": chance.choice(_JOBS),
        "telephone": digits,
        "interests": ",".join(chance.sample(["analytics", "automation", "security"], chance.randint(1, 3))),
        "preferredDate": day.isoformat(),
        "budget": str(chance.randrange(1, 200) * 500),
        "newsletter": chance.choice("01"),
        "optin.terms": "1",
        "optin.contactTypes": ",".join(chance.sample(["Email", "SMS", "Post"], chance.randint(1, 3))),
        "utmSource": chance.choice(_SOURCES),
    }
    values.update({name: value for name, value in optional.items() if chance.random() < 0.8})
    return values


def _invalid(values: dict[str, str], chance: random.Random) -> Person:
    flaws = {
        "the e-mail address has no @": {"email": values["email"].replace("@", " at ")},
        "the last name is missing": {"lastName": ""},
        "the country is not on the list": {"country": "Atlantis"},
        "the date does not exist": {"preferredDate": "2026-02-30"},
        "the telephone number is a word": {"telephone": "call me"},
        "a field that the form does not have": {"favouriteColour": "green"},
    }
    why = chance.choice(list(flaws))
    return Person("invalid", {**values, **flaws[why]}, why)
