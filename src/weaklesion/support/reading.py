"""Read users' files through libraries: what they raise, and how large a file may be.

Libraries document few of the exceptions that damaged files cause: `struct.error`, `zlib.error`,
`OverflowError`, `AttributeError`, ... `refusing` is the one place that turns them into errors of
the project.
"""

import errno
import os
import re
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from weaklesion.errors import DataError

LONGEST_CAUSE = 200  # characters of a library's message that are shown
OF_THE_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE}  # not of the file
PIXELS = "WEAKLESION_MAX_PIXELS", 178_956_970  # of an image or slice; the number is Pillow's
VOLUME_BYTES = "WEAKLESION_MAX_VOLUME_BYTES", 4 * 2**30  # of a volume, uncompressed


@contextmanager
def refusing(refusal: Callable[[str], DataError]) -> Iterator[None]:
    """Turn whatever a library raises about a file into an error of the project.

    Errors of the project pass, as do those of the machine, such as a full disk. The block should
    contain calls of the library only, because it also hides errors of our own.

    Args:
        refusal: maps the cause, in words, to the error.

    Raises:
        DataError: what `refusal` returns.
    """
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in OF_THE_MACHINE:
            raise
        raise refusal(cause_of(error)) from error


def cause_of(error: Exception) -> str:
    """Return an exception's message in one short line, after its type if the message needs it.

    >>> cause_of(ValueError("bad  header")), cause_of(KeyError(7)), cause_of(EOFError())
    ('bad header', 'KeyError: 7', 'EOFError')
    """
    text = " ".join(str(error).split())
    plain = isinstance(error, OSError | SyntaxError | ValueError) and text
    text = text if plain else ": ".join(filter(None, (type(error).__name__, text)))
    return text if len(text) <= LONGEST_CAUSE else f"{text[:LONGEST_CAUSE]}..."


def number_in(text: str) -> float:
    """Return the number that a text is, as tables write numbers.

    `float` alone also takes `1_0` and the digits of other scripts. A typographic minus, which word
    processors write, is one.

    Raises:
        ValueError: if it is none.

    >>> number_in(" -1.5e3 "), number_in("nan"), number_in("\N{MINUS SIGN}5")
    (-1500.0, nan, -5.0)
    """
    text = text.replace("\N{MINUS SIGN}", "-")
    if not re.fullmatch(r"\s*[+-]?(\d+\.?\d*(e[+-]?\d+)?|\.\d+(e[+-]?\d+)?|nan|inf(inity)?)\s*",
                        text, re.ASCII | re.IGNORECASE):  # fmt: skip
        raise ValueError(f"{text!r} is not a number")
    return float(text)


def index_in(text: str) -> int | None:
    """Return the index that a text of up to nine digits is; None if it is none.

    >>> index_in("007"), index_in("-1"), index_in("1_0")
    (7, None, None)
    """
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def limit_of(named: tuple[str, int]) -> int:
    """Return a limit: that of the environment variable, or the default.

    Args:
        named: the variable, and the default.

    Raises:
        DataError: if the variable is not a whole number above 0.
    """
    name, default = named
    text = os.environ.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise DataError(f"{name}: needs a whole number above 0, not {text!r}.")
    return int(text)


def spelling_key(name: str) -> str:
    """Return what all spellings of one name share.

    They differ by case, blanks, forms of Unicode, or the zeros of a whole number.

    >>> {spelling_key(name) for name in ("P 07", "p 7 ", "P  7")}, spelling_key("7.0")
    ({'p 7'}, '7')
    """
    text = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
    text = re.sub(r"^(\d+)\.0+$", r"\1", text)
    return re.sub(r"(?<![\d.])0+(?=\d)", "", text)
