"""The translation of an answer goes through the pipe once, and both sides keep the same recent ones."""

import io

from ptxbench.emulator.layout import Translation
from ptxbench.emulator.messages import MOST_CACHED, TranslationCache


def translation(name):
    return Translation("ir " * 1000, (), name, (), (), 1, 2, 0, 0, 0, None)


def test_a_translation_is_sent_once_and_is_the_same_object_afterwards():
    ours, theirs = TranslationCache(), TranslationCache()
    one, other = translation("one"), translation("other")
    sizes, received = [], []
    for message in (one, one, other, one):
        stream = io.BytesIO()
        theirs.dump({"translation": message, "printed": "x"}, stream)
        sizes.append(stream.tell())
        stream.seek(0)
        received.append(ours.load(stream)["translation"])
    assert [message.name for message in received] == ["one", "one", "other", "one"]
    assert received[0] is received[1] is received[3]
    assert sizes[0] > 1000 > sizes[1]
    assert sizes[3] < 1000 < sizes[2]


def test_the_last_of_many_translations_are_kept():
    ours, theirs = TranslationCache(), TranslationCache()
    many = [translation(str(number)) for number in range(MOST_CACHED + 3)]
    for message in (*many, many[0], many[-1]):
        stream = io.BytesIO()
        theirs.dump(message, stream)
        stream.seek(0)
        assert vars(ours.load(stream)) == vars(message)
    assert sum(slot is not None for slot in ours.slots) == MOST_CACHED
