"""The four regular forms of a Tang poem: how one is asked for, and whether a text keeps one."""

from __future__ import annotations

import re

FORMS = {"五绝": (4, 5), "七绝": (4, 7), "五律": (8, 5), "七律": (8, 7)}  # verses, and characters of a verse
END = "\n\n"  # after a poem of the corpus
SAMPLING = {"until": END, "top_p": 0.85}  # how one is drawn where nothing else is asked: the unlikeliest tokens break the form
LONGEST = 40  # characters of a title or a first line
MARKS = "，。？！；、：\n"


class PoemError(ValueError):
    """A poem that cannot be asked for; the text says why in one sentence."""


def prompt(title: str, form: str, line: str = "") -> str:
    """What a poem of the corpus begins with, up to its first line. Raises PoemError."""
    if form not in FORMS:
        raise PoemError(f"form: {form[:20]!r} is not one of {', '.join(FORMS)}")
    for name, text in (("title", title), ("first line", line)):
        if len(text) > LONGEST or "\n" in text or set(text) & set("《》"):
            raise PoemError(f"{name}: at most {LONGEST} characters on one line, without 《 and 》")
    verses = [verse for verse in re.split(f"[{MARKS}]", line) if verse]
    if any(len(verse) != FORMS[form][1] for verse in verses[:-1]) or (verses and len(verses[-1]) > FORMS[form][1]):
        raise PoemError(f"first line: a verse of {form} has {FORMS[form][1]} characters")
    if verses and len(verses[-1]) == FORMS[form][1] and line[-1] not in MARKS:
        line += "，" if len(verses) % 2 else "。"
    return f"《{title or '无题'}》{form}\n{line}"


def keeps(poem: str, form: str) -> bool:
    """Whether the lines of a poem, without its heading, are as many and as long as its form asks for."""
    verses = [verse for verse in re.split(f"[{MARKS}]", poem) if verse]
    count, length = FORMS[form]
    return len(verses) == count and all(len(verse) == length for verse in verses)
