"""What the real small model is asked: short first turns without tools, a third each to classify, to answer shortly, as JSON.

A fixed list, so that a figure measured today can be measured again.
"""

from __future__ import annotations

_SAID = (
    "The parcel came two days early and everything works.",
    "I waited an hour and nobody picked up the phone.",
    "The soup was cold, but the waiter was kind.",
    "Best keyboard I ever had.",
    "It broke on the first day.",
    "The room was clean and the bed was soft.",
    "They charged me twice and will not pay it back.",
    "The film is long, and not a minute is boring.",
    "My bicycle arrived with a bent wheel.",
    "The new version starts in half the time.",
    "The battery is empty before noon.",
    "The teacher explained it until everybody understood.",
    "The train was late again.",
    "Thank you, the refund arrived within a day.",
    "The jacket is smaller than its label says.",
    "The garden was lovely, the music far too loud.",
    "The lamp flickers and hums.",
    "I would buy this coffee again at once.",
    "The manual is missing half of its pages.",
    "The driver helped us with all our bags.",
)
_ASKED = (
    "What is the capital of France?",
    "Name three colours.",
    "What is 12 plus 30?",
    "Which is larger, 9 or 14?",
    "Is the sky blue?",
    "Name a fruit that is yellow.",
    "How many days has a week?",
    "What do bees make?",
    "Which animal barks?",
    "What is the opposite of hot?",
    "What is frozen water called?",
    "Name a month of summer.",
    "What is 7 times 6?",
    "Which planet do we live on?",
    "What do you use to cut paper?",
    "Name two musical instruments.",
    "What colour is grass?",
    "How many legs has a spider?",
    "What is the largest ocean?",
    "Name a language that is spoken in Brazil.",
)
_NOTED = (
    "Anna is 31 and lives in Oslo.",
    "Order 118: two chairs, to Berlin.",
    "The meeting is on Monday at 10 in room 4.",
    "Paul bought a red car for 9000 dollars.",
    "Flight 72 leaves Rome at 18:30.",
    "The blue shirt costs 25 euros.",
    "Maria, engineer, works in Lisbon.",
    "Ticket 4711: the printer on floor 3 is broken.",
    "The cat Tom weighs 4 kilograms.",
    "The book has 320 pages and was written by Ida.",
    "Invoice 55, 140 dollars, due in May.",
    "The shop opens at 9 and closes at 18.",
    "Kim plays the piano and is 12.",
    "The river is 640 kilometres long.",
    "Table 7: one tea, two cakes.",
    "The house in Bern has 5 rooms.",
    "Bus 14 goes to the harbour every 20 minutes.",
    "The server web2 has 16 gigabytes of memory.",
    "Ben scored 3 goals on Saturday.",
    "The ring is gold and belongs to Eva.",
)
QUESTIONS = (
    *(f"Is this review positive, negative or mixed? Answer with one word.\n{said}" for said in _SAID),
    *(f"{asked} Answer in a few words." for asked in _ASKED),
    *(f"Write this as a JSON object and nothing else.\n{noted}" for noted in _NOTED),
)
