"""A second or two of Python as programs are made of: arithmetic, containers, text, regular expressions, JSON, classes."""
import heapq
import json
import random
import re
import sys


class Body:
    __slots__ = ("place", "speed", "mass")

    def __init__(self, place, speed, mass):
        self.place, self.speed, self.mass = place, speed, mass


def orbits(steps):
    bodies = [Body([float(k), 1.5 * k, -k], [0.1 * k, 0.0, 0.2], 1.0 / (k + 1)) for k in range(5)]
    for _ in range(steps):
        for number, one in enumerate(bodies):
            for other in bodies[number + 1:]:
                away = [a - b for a, b in zip(one.place, other.place)]
                pull = 0.001 / (sum(x * x for x in away) + 0.01) ** 1.5
                for axis in range(3):
                    one.speed[axis] -= away[axis] * other.mass * pull
                    other.speed[axis] += away[axis] * one.mass * pull
        for body in bodies:
            for axis in range(3):
                body.place[axis] += 0.001 * body.speed[axis]
    return round(sum(body.place[0] for body in bodies), 9)


def queens(size, row=0, columns=0, rising=0, falling=0):
    if row == size:
        return 1
    found, free = 0, ~(columns | rising | falling) & ((1 << size) - 1)
    while free:
        place = free & -free
        free ^= place
        found += queens(size, row + 1, columns | place, (rising | place) << 1, (falling | place) >> 1)
    return found


def shortest_ways(count, seed):
    chance = random.Random(seed)
    roads = {place: [(chance.randrange(count), chance.randrange(1, 100)) for _ in range(6)] for place in range(count)}
    distance, waiting = {0: 0}, [(0, 0)]
    while waiting:
        length, place = heapq.heappop(waiting)
        if length > distance[place]:
            continue
        for target, cost in roads[place]:
            if length + cost < distance.get(target, 1 << 60):
                distance[target] = length + cost
                heapq.heappush(waiting, (length + cost, target))
    return sum(distance.values())


def words(lines, seed):
    chance = random.Random(seed)
    syllables = ["ka", "lo", "mi", "ter", "un", "vel", "sto", "pri", "en", "da"]
    text = "\n".join(
        " ".join("".join(chance.choices(syllables, k=chance.randrange(1, 4))) for _ in range(10)) for _ in range(lines))
    counts = {}
    for word in re.findall(r"\b[a-z]*(?:ter|vel)[a-z]*\b", text):
        counts[word] = counts.get(word, 0) + 1
    common = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:20]
    swapped = re.sub(r"(\w+) (\w+)$", r"\2 \1", text, flags=re.M)
    return len(swapped.upper().replace("KA", "x")), common[0]


def documents(count):
    records = [{"id": k, "name": f"record {k}", "tags": ["a", "b", str(k % 7)], "value": k / 3} for k in range(count)]
    back = json.loads(json.dumps(records, sort_keys=True))
    return sum(len(record["tags"][2]) for record in back), sorted(back, key=lambda r: r["name"])[5]["id"]


def primes(limit):
    sieve = bytearray([1]) * limit
    for number in range(2, int(limit ** 0.5) + 1):
        if sieve[number]:
            sieve[number * number::number] = bytes(len(range(number * number, limit, number)))
    return sum(sieve) - 2, pow(3, 10 ** 600, 10 ** 300 + 7) % 1000003


scale = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
print(orbits(int(9000 * scale)))
print(queens(8) * int(3 * scale), [queens(8) for _ in range(int(7 * scale))])
print(shortest_ways(int(40000 * scale), 7))
print(words(int(30000 * scale), 3))
print(documents(int(60000 * scale)))
print(primes(int(3000000 * scale)))
