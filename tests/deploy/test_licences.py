"""docs/licences.md is in step with the locks, and nothing in the images asks for more than a notice."""

import re

from tools.supply_chain import IMAGES, PAGE, licence, locked, page

# Weak copyleft on a data file and on a library that is used unchanged.
ACCEPTED = {
    "certifi": "MPL-2.0: a bundle of certificates, unchanged",
    "tqdm": "MPL-2.0 AND MIT: unchanged",
    "orjson": "MPL-2.0 for a part: unchanged",
}


def test_the_page_is_in_step() -> None:
    assert PAGE.read_text() == page()


def test_no_copyleft_that_nobody_looked_at() -> None:
    for image in IMAGES:
        for name in locked(image):
            found = licence(name)
            assert found != "not said", name
            assert name in ACCEPTED or not re.search(r"GPL|MPL|Mozilla|EUPL|CDDL", found), (name, found)


def test_every_exception_is_needed() -> None:
    names = {name for image in IMAGES for name in locked(image)}
    assert names >= ACCEPTED.keys()
