"""The bridge without one of its safeguards, to see that the checker finds it: `without.py duplicates|lookup|journal CONFIG`."""

import sys

from cambist_bridge import __main__, caretaker, journal, lookup, orders


def duplicates():
    """An order's id is not looked up, and a second intent overwrites the first."""
    submit, write = orders.Orders.submit, journal.Journal.write

    def blind(self, payload):
        self.journal.intent = lambda id: None
        try:
            return submit(self, payload)
        finally:
            del self.journal.intent

    def overwrite(self, intent):
        self._db.execute("delete from intents where id = ?", (intent.id,))
        write(self, intent)

    orders.Orders.submit, journal.Journal.write = blind, overwrite


def lookup_():
    """What is ambiguous is taken for absent at once."""
    lookup.look = lambda terminal, intent: None
    lookup.seen = lambda terminal, intent, found: journal.SEEN
    orders.Orders._is_certain = lambda self, intent: True
    caretaker.Caretaker.adopt_late = lambda self, since_ms: []


def journal_():
    """Intents are remembered in the process alone."""
    kept = {}
    cls = journal.Journal
    cls.write = cls.update = lambda self, intent: kept.__setitem__(intent.id, intent)
    cls.intent = lambda self, id: kept.get(id)
    cls.of_magic = lambda self, magic: next((intent for intent in kept.values() if intent.magic == magic), None)
    cls.open = lambda self: [intent for intent in kept.values() if intent.state in journal.OPEN]
    cls.in_play = lambda self: [intent for intent in kept.values() if intent.state in journal.OPEN or intent.seen == 0]
    cls.working = lambda self: [intent for intent in kept.values() if intent.seen == 2]
    cls.n_sent_since = lambda self, ms: sum(intent.sent_ms > ms and intent.request is not None for intent in kept.values())


{"duplicates": duplicates, "lookup": lookup_, "journal": journal_}[sys.argv.pop(1)]()
sys.exit(__main__.main())
