"""Exact models, on rationals, of the instructions that the reference emulator lacks or gets wrong (Zfa, Zicond, ctzw). Written from the manual."""
from fractions import Fraction
import struct

BOX = 0xffffffff << 32
MASK = (1 << 64) - 1
NX, NV = 1, 16


class Format:
    def __init__(self, exponent_bits, fraction_bits):
        self.e, self.f = exponent_bits, fraction_bits
        self.bias = (1 << exponent_bits - 1) - 1
        self.sign = 1 << exponent_bits + fraction_bits
        self.infinity = ((1 << exponent_bits) - 1) << fraction_bits
        self.nan = self.infinity | 1 << fraction_bits - 1

    def is_nan(self, bits):
        return bits & (self.sign - 1) > self.infinity

    def is_signalling(self, bits):
        return self.is_nan(bits) and not bits >> self.f - 1 & 1

    def is_infinite(self, bits):
        return bits & (self.sign - 1) == self.infinity

    def value(self, bits):
        field, fraction = bits >> self.f & (1 << self.e) - 1, bits & (1 << self.f) - 1
        significand = fraction if field == 0 else fraction | 1 << self.f
        magnitude = Fraction(significand) * Fraction(2) ** (max(field, 1) - self.bias - self.f)
        return -magnitude if bits & self.sign else magnitude

    def order(self, bits):
        """A number that orders all values that are no NaN, -0 below +0."""
        return -(bits & (self.sign - 1)) * 2 - 1 if bits & self.sign else bits * 2

    def of_integer(self, number, negative):
        """Bits of an integer that the format can hold."""
        sign = self.sign if negative else 0
        if number == 0:
            return sign
        number = abs(number)
        exponent = number.bit_length() - 1
        fraction = number << self.f >> exponent
        return sign | (exponent + self.bias) << self.f | fraction & (1 << self.f) - 1


DOUBLE, SINGLE = Format(11, 52), Format(8, 23)


def round_integer(value, mode):
    floor = value.numerator // value.denominator
    rest = value - floor
    if rest == 0 or mode == 2:
        return floor
    if mode == 3:
        return floor + 1
    if mode == 1:
        return floor if value > 0 else floor + 1
    if rest != Fraction(1, 2):
        return floor + (rest > Fraction(1, 2))
    if mode == 0:
        return floor + (floor & 1)
    return floor + 1 if value > 0 else floor


FLI = ["-1.0", None, "0x1p-16", "0x1p-15", "0x1p-8", "0x1p-7", "0x1p-4", "0x1p-3", "0.25", "0.3125", "0.375", "0.4375", "0.5",
       "0.625", "0.75", "0.875", "1", "1.25", "1.5", "1.75", "2", "2.5", "3", "4", "8", "16", "128", "256", "0x1p15", "0x1p16"]


def load_immediate(index, format):
    if index == 1:
        return 1 << format.f
    if index == 30:
        return format.infinity
    if index == 31:
        return format.nan
    text = FLI[index]
    value = float.fromhex(text) if text.startswith("0x") else float(text)
    packed = struct.pack("<d", value) if format is DOUBLE else struct.pack("<f", value)
    return int.from_bytes(packed, "little")


def execute(mnemonic, encoding, fcsr, a, b):
    """The destination and fcsr afterwards."""
    if mnemonic == "czero.eqz":
        return (0 if b == 0 else a), fcsr
    if mnemonic == "czero.nez":
        return (0 if b != 0 else a), fcsr
    if mnemonic == "ctzw":
        return next((bit for bit in range(32) if a >> bit & 1), 32), fcsr
    name, suffix = mnemonic.split(".")[0], mnemonic.split(".")[-1]
    format = SINGLE if suffix == "s" else DOUBLE
    box = BOX if format is SINGLE else 0
    if name == "fli":
        return load_immediate(encoding >> 15 & 31, format) | box, fcsr
    if format is SINGLE:
        a = a & 0xffffffff if a >> 32 == 0xffffffff else format.nan
        b = b & 0xffffffff if b >> 32 == 0xffffffff else format.nan
    if name in ("fminm", "fmaxm"):
        flags = NV if format.is_signalling(a) or format.is_signalling(b) else 0
        if format.is_nan(a) or format.is_nan(b):
            return format.nan | box, fcsr | flags
        choose = min if name == "fminm" else max
        return choose(a, b, key=format.order) | box, fcsr
    if name in ("fleq", "fltq"):
        flags = NV if format.is_signalling(a) or format.is_signalling(b) else 0
        if format.is_nan(a) or format.is_nan(b):
            return 0, fcsr | flags
        def key(bits):
            if format.is_infinite(bits):
                return Fraction(2) ** 2000 * (-1 if bits & format.sign else 1)
            return format.value(bits)
        return int(key(a) < key(b) or name == "fleq" and key(a) == key(b)), fcsr
    if name in ("fround", "froundnx"):
        if format.is_nan(a):
            return format.nan | box, fcsr | (NV if format.is_signalling(a) else 0)
        if format.is_infinite(a):
            return a | box, fcsr
        mode = encoding >> 12 & 7
        value = format.value(a)
        rounded = round_integer(value, fcsr >> 5 if mode == 7 else mode)
        flags = NX if name == "froundnx" and rounded != value else 0
        return format.of_integer(rounded, bool(a & format.sign)) | box, fcsr | flags
    assert mnemonic == "fcvtmod.w.d"
    if format.is_nan(a) or format.is_infinite(a):
        return 0, fcsr | NV
    value = format.value(a)
    rounded = round_integer(value, 1)
    low = rounded & 0xffffffff
    flags = NV if not -(1 << 31) <= rounded < 1 << 31 else (NX if rounded != value else 0)
    return (low | (BOX if low >> 31 else 0)) & MASK, fcsr | flags


def near_product(a, b, kind, rng):
    """An addend close to minus the product, so that much cancels."""
    format = DOUBLE if kind == "d" else SINGLE
    bits = format.sign * 2 - 1
    a, b = a & bits, b & bits
    box = 0 if kind == "d" else BOX
    exponent = (a >> format.f & (1 << format.e) - 1) + (b >> format.f & (1 << format.e) - 1) - format.bias + rng.choice([-1, 0, 1])
    exponent = min(max(exponent, 0), (1 << format.e) - 2)
    fraction = ((a & (1 << format.f) - 1) + (b & (1 << format.f) - 1)) & (1 << format.f) - 1
    sign = ~(a ^ b) & format.sign
    return sign | exponent << format.f | fraction | box
