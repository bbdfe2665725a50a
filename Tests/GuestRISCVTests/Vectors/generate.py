#!/usr/bin/env python3
"""Makes vectors.txt: for every instruction row some encodings, operands, and what they must give.

Expected values come from a reference emulator that runs execute.c.in (needs a riscv64 cross compiler and qemu-riscv64), or from the
model in model.py for the extensions that it lacks. Usage: generate.py [--count N] [--seed N] [--output FILE] [--add ROWS], where
--add makes vectors of the rows whose file has ROWS in its name, of those whose mnemonic is like --only PATTERN, and appends them.

File format, numbers hexadecimal:
  @ mnemonic encoding kind rd         starts a group; rd is a register-file index
  fcsr a b c [m0 m1] > rd fcsr [delta] [m0 m1]
Kinds: r (registers: sp, x10, x11, f10, f11 = a; x12, f12 = b; f13 = c), m (a is an offset from 16 bytes of memory m0 m1 and b the
value stored), j (a is an offset from the instruction, as are the results). delta is how far the program counter moves; left out
when it is the instruction's size.
"""
import argparse, os, random, re, subprocess, sys, tempfile
import model

here = os.path.dirname(os.path.abspath(__file__))
rows_directory = os.path.join(here, "../../../Sources/GuestRISCV")
A, B, C, D = 11, 12, 13, 10

integers = [0, 1, 2, 7, 31, 32, 63, 64, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000,
            0x7fffffffffffffff, 0x8000000000000000, 0x8000000000000001, (1 << 64) - 1, (1 << 64) - 2, 0xffffffff80000000,
            0xffffffff7fffffff, 0x123456789abcdef0, 0x00ff00ff00ff00ff, 0x0102030405060708, 0x8000000080000000]
doubles = [0, 1 << 63, 0x3ff0000000000000, 0xbff0000000000000, 0x3fe0000000000000, 0xbfe0000000000000, 0x3ff8000000000000,
           0x4004000000000000, 0xc004000000000000, 1, 0x8000000000000001, 0x000fffffffffffff, 0x0010000000000000,
           0x8010000000000000, 0x7fefffffffffffff, 0xffefffffffffffff, 0x7ff0000000000000, 0xfff0000000000000,
           0x7ff8000000000000, 0xfff8000000001234, 0x7ff0000000000001, 0xfff4000000000000, 0x3ca0000000000000,
           0x3ff0000000000001, 0x3fefffffffffffff, 0x4340000000000000, 0x4340000000000001, 0x43e0000000000000,
           0xc3e0000000000000, 0xc3e0000000000001, 0x43dfffffffffffff, 0x43f0000000000000, 0x43efffffffffffff,
           0x41dfffffffc00000, 0x41dfffffffe00000, 0x41e0000000000000, 0xc1e0000000000000, 0xc1e0000000100000,
           0xc1e0000000200000, 0x41efffffffe00000, 0x41effffffff00000, 0x41f0000000000000, 0x3fb999999999999a,
           0x36a0000000000000, 0x3690000000000000, 0x380fffffe0000000, 0x47efffffe0000000, 0x47effffff0000000,
           0x3ff0000010000000, 0x3ff0000030000000, 0x3fe0000000000001, 0xbfefffffffffffff]
singles = [0, 1 << 31, 0x3f800000, 0xbf800000, 0x3f000000, 0xbf000000, 0x3fc00000, 0x40200000, 0xc0200000, 1, 0x80000001,
           0x007fffff, 0x00800000, 0x80800000, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc01234, 0x7f800001,
           0xffa00000, 0x33000000, 0x3f800001, 0x3f7fffff, 0x4b000000, 0x4b000001, 0x4affffff, 0x5f000000, 0xdf000000,
           0x5effffff, 0x5f7fffff, 0x5f800000, 0x4effffff, 0x4f000000, 0xcf000000, 0xcf000001, 0x4f7fffff, 0x4f800000,
           0x3dcccccd, 0xbf7fffff]


def read_rows(part=""):
    rows = []
    pattern = re.compile(r'insn\("([^"]+)", "([^"]+)", \.(\w+), \.(\w+)\)')
    for name in sorted(os.listdir(rows_directory)):
        if name.startswith("RISCVRows+") and part in name:
            with open(os.path.join(rows_directory, name)) as file:
                for match in pattern.finditer(file.read()):
                    rows.append((match[1], match[2].replace(" ", ""), match[3]))
    return rows


def encode(pattern, fields):
    """Fills letters from the right with the fields' bits; 'i' takes random bits when it has no field."""
    bits, used = 0, dict.fromkeys(fields, 0)
    for position, letter in enumerate(reversed(pattern)):
        if letter in "01":
            bit = int(letter)
        else:
            key = letter.lower()
            bit = fields[key] >> used[key] & 1
            used[key] += 1
        bits |= bit << position
    return bits


def value(rng, kind):
    if kind == "d":
        if rng.random() < 0.55:
            return rng.choice(doubles)
        if rng.random() < 0.5:   # near one another, so that sums round
            return rng.getrandbits(1) << 63 | (1023 + rng.randint(-60, 60)) << 52 | rng.getrandbits(52)
        if rng.random() < 0.4:   # short significands, so that ties occur
            return rng.getrandbits(1) << 63 | (1023 + rng.randint(-54, 64)) << 52 | rng.getrandbits(3) << 49 | rng.choice([0, 0, 1])
        return rng.getrandbits(64)
    if kind == "s":
        if rng.random() < 0.04:
            return rng.getrandbits(64)   # not boxed
        box = 0xffffffff << 32
        if rng.random() < 0.55:
            return box | rng.choice(singles)
        if rng.random() < 0.5:
            return box | rng.getrandbits(1) << 31 | (127 + rng.randint(-30, 34)) << 23 | rng.getrandbits(23)
        if rng.random() < 0.4:
            return box | rng.getrandbits(1) << 31 | (127 + rng.randint(-25, 64)) << 23 | rng.getrandbits(3) << 20 | rng.choice([0, 0, 1])
        return box | rng.getrandbits(32)
    if rng.random() < 0.6:
        return rng.choice(integers)
    return rng.getrandbits(64) >> rng.choice([0, 0, 0, 32, 8, 48])


float_sources = {"floatStore", "floatRegister", "floatRegisterRounded", "floatFused", "floatUnary", "floatCompare", "floatToInteger",
                 "floatToIntegerRounded"}
memory_formats = {"load", "store", "floatLoad", "floatStore", "loadReserved", "atomic"}
excluded = {"ecall", "ebreak", "c.ebreak", "fence.i", "cbo.inval", "cbo.clean", "cbo.flush", "cbo.zero", "pause", "fence.tso", "wrs.nto", "wrs.sto",
            "mret", "sret", "wfi", "sfence.vma", "sinval.vma", "sfence.w.inval", "sfence.inval.ir"}
# ctzw: qemu 7.2 looks at all 64 bits.
modelled = re.compile(r"fli|fminm|fmaxm|fround|fleq|fltq|fcvtmod|czero|ctzw")


def operand_kind(mnemonic, format):
    if format not in float_sources:
        return "x"
    if mnemonic in ("fcvt.s.d",):
        return "d"
    if mnemonic in ("fcvt.d.s",):
        return "s"
    return "s" if mnemonic.endswith(".s") or mnemonic == "fmv.x.w" or mnemonic == "fsw" else "d"



def groups_of(row, rng, count):
    """Yields (encoding, kind, rd, [(fcsr, a, b, c, m0, m1)])."""
    mnemonic, pattern, format = row
    kind = operand_kind(mnemonic, format)
    short = len(pattern) == 16
    narrow = short and "ddddd" not in pattern.lower()
    is_rounded = "m" in pattern
    is_memory = format in memory_formats or "Load" in format or "Store" in format
    if format in ("compressedLoadImmediate",):
        is_memory = False
    is_jump = format in ("jump", "jumpRegister", "compressedJump", "compressedJumpRegister", "compressedJumpAndLinkRegister") or mnemonic == "auipc"
    float_destination = format.startswith("float") and not format.startswith("floatTo") and format not in ("floatCompare", "floatStore")
    float_destination |= format.startswith("integerToFloat") or format in ("compressedFloatLoadDouble", "compressedStackFloatLoadDouble")
    encodings = 6 if is_rounded or "i" in pattern.lower() else 1
    if format in ("floatConstant",):
        encodings = 32
    if format == "roundNumber":
        encodings = 11
    if "csr" in format:
        encodings = 5
    for number in range(encodings):
        fields = {"d": D, "s": A, "t": B, "u": C, "m": [0, 1, 2, 3, 4, 7][number % 6], "a": rng.getrandbits(1), "r": rng.getrandbits(1),
                  "i": rng.getrandbits(20), "n": number % 11}
        if format == "registerByte":
            fields["i"] = number % 4
        if short:
            # Three-bit fields name x8...x15. Two-operand forms have rd as first source, which also starts as a.
            for letter in "dst":
                run = re.search(letter + "+", pattern.lower())
                if run and len(run[0]) == 3:
                    fields[letter] -= 8
        if format == "floatConstant":
            fields["s"] = number
        if format == "csr" or format == "csrImmediate":
            fields["i"] = [1, 2, 3, 1, 3][number]
        if format == "immediate" and number < 3:
            fields["i"] = [0, 0x7ff, 0x800][number]
        kind_letter, size = "r", len(pattern) // 8
        if is_jump:
            kind_letter = "j"
            if format == "jump":   # stay within the landing area
                offset = rng.randrange(-1000, 1000) * 4
                if offset == 0:
                    offset = 4
                fields["i"] = jump_field(offset)
            elif format == "compressedJump":
                offset = rng.choice([-2048, 2044, 8, -4, 256, -1024, rng.randrange(2, 511) * 4]) or 8
                fields["i"] = place(offset, [11, 4, 9, 8, 10, 6, 7, 3, 2, 1, 5])
        if format == "branch":
            offset = rng.choice([-4096, 4092, 4, 2044, -4, rng.randrange(-1000, 1000) * 4]) or 8
            fields["i"] = place(offset, [12, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 11])
        if format == "compressedBranch":
            offset = rng.choice([-256, 252, 8, -4, rng.randrange(2, 63) * 4]) or 8
            fields["i"] = place(offset, [8, 4, 3, 7, 6, 2, 1, 5])
        if is_memory:
            kind_letter = "m"
        encoding = encode(pattern, fields)
        if any(letter.isupper() for letter in pattern):
            mask = int("".join("1" if letter.isupper() else "0" for letter in pattern), 2)
            if encoding & mask == 0:
                encoding |= mask & -mask
        has_destination = "d" in pattern.lower() and format not in ("fence", "store", "branch")
        rd = 0 if not has_destination else 42 if float_destination else 10
        if format == "compressedStackAdjust":
            rd = 2
        if mnemonic == "c.jalr":
            rd = 1
        if mnemonic in ("c.lwsp", "c.ldsp", "c.li", "c.lui", "c.mv", "c.add", "c.addi", "c.addiw", "c.slli"):
            rd = 10
        if mnemonic == "lui" or mnemonic == "auipc":
            rd = 10
        vectors = []
        repeat = max(2, count // encodings) if encodings > 1 else count
        if format == "floatConstant":
            repeat = 1
        if is_rounded:
            repeat = max(2, count // 3)
        if kind_letter == "j" and format != "jumpRegister":
            repeat = 1
        if format in ("branch", "compressedBranch"):
            repeat = max(4, count // 4)
        for _ in range(repeat):
            fcsr = rng.choice([0, 0, 0, 1, 2, 3]) << 5
            if is_rounded and fields["m"] == 7:
                fcsr = rng.choice([0, 1, 2, 3, 4]) << 5
            if "csr" in format:
                fcsr = rng.getrandbits(8)
            a, b, c = value(rng, kind), value(rng, kind), value(rng, kind)
            if format == "branch" and rng.random() < 0.3:
                b = a
            if format == "compressedBranch" and rng.random() < 0.5:
                a = 0
            if kind != "x" and rng.random() < 0.1:
                b = a ^ (1 << (63 if kind == "d" else 31))
            if "Fused" in format and rng.random() < 0.4:
                c = model.near_product(a, b, kind, rng)
            m0 = m1 = 0
            if kind_letter == "m":
                m0, m1 = value(rng, "x"), rng.getrandbits(64)
                offset = displacement(mnemonic, encoding, format)
                aligned = format in ("atomic", "loadReserved")
                width = memory_width(mnemonic)
                place_at = rng.choice(range(0, 17 - width, width if aligned else 1)) if rng.random() < 0.5 or aligned else 0
                a = (place_at - offset) & (1 << 64) - 1
            if kind_letter == "j":
                a = 0
                if "jumpRegister" == format or "JumpRegister" in format or "JumpAndLink" in format:
                    immediate = sign_extend(encoding >> 20, 12) if not short else 0
                    # Offsets from the instruction; bit 0 of the sum is ignored.
                    a = (rng.randrange(1, 500) * 4 - immediate + (rng.getrandbits(1) if not short or True else 0)) & (1 << 64) - 1
                    if (a + immediate) & 2:
                        a = (a + 2) & (1 << 64) - 1
            vectors.append((fcsr, a, b, c, m0, m1))
        yield encoding, kind_letter, rd, vectors


def expanded(mnemonic, e):
    """The encoding that the reference knows instead of one of Zcb, Zcmop or Zimop."""
    rd, rs2 = 8 + (e >> 7 & 7), 8 + (e >> 2 & 7)
    place = displacement(mnemonic, e, "")
    loads = {"c.lbu": 4, "c.lhu": 5, "c.lh": 1}
    stores = {"c.sb": 0, "c.sh": 1}
    unary = {"c.zext.b": 0x0ff07013, "c.sext.b": 0x60401013, "c.zext.h": 0x0800403b, "c.sext.h": 0x60501013, "c.zext.w": 0x0800003b,
             "c.not": 0xfff04013}
    if mnemonic in loads:
        return 0x03 | rs2 << 7 | loads[mnemonic] << 12 | rd << 15 | place << 20
    if mnemonic in stores:
        return 0x23 | place << 7 | stores[mnemonic] << 12 | rd << 15 | rs2 << 20
    if mnemonic in unary:
        return unary[mnemonic] | rd << 7 | rd << 15
    if mnemonic == "c.mul":
        return 0x02000033 | rd << 7 | rd << 15 | rs2 << 20
    if mnemonic == "c.mop":
        return 1
    if mnemonic.startswith("mop."):
        return 0x13 | (e >> 7 & 31) << 7
    return e


def sign_extend(number, bits):
    number &= (1 << bits) - 1
    return number - (1 << bits) if number >> (bits - 1) else number


def place(offset, order):
    """The field whose bits, from the highest, are those bits of the offset."""
    result = 0
    for bit in order:
        result = result << 1 | (offset >> bit & 1)
    return result


def jump_field(offset):
    return place(offset, [20] + list(range(10, 0, -1)) + [11] + list(range(19, 11, -1)))


def memory_width(mnemonic):
    table = {"c.lbu": 1, "c.sb": 1, "c.lhu": 2, "c.lh": 2, "c.sh": 2, "lb": 1, "lbu": 1, "sb": 1, "lh": 2, "lhu": 2, "sh": 2, "lw": 4, "lwu": 4, "sw": 4, "flw": 4, "fsw": 4}
    if mnemonic in table:
        return table[mnemonic]
    return 4 if mnemonic.endswith(".w") or mnemonic in ("c.lw", "c.sw", "c.lwsp", "c.swsp") else 8


def displacement(mnemonic, e, format):
    def f(low, count, to):
        return (e >> low & (1 << count) - 1) << to
    if format in ("load", "floatLoad"):
        return sign_extend(e >> 20, 12)
    if format in ("store", "floatStore"):
        return sign_extend(e >> 25 << 5 | e >> 7 & 31, 12)
    if mnemonic in ("c.lbu", "c.sb"):
        return f(6, 1, 0) | f(5, 1, 1)
    if mnemonic in ("c.lhu", "c.lh", "c.sh"):
        return f(5, 1, 1)
    if mnemonic in ("c.lw", "c.sw"):
        return f(10, 3, 3) | f(6, 1, 2) | f(5, 1, 6)
    if mnemonic in ("c.ld", "c.sd", "c.fld", "c.fsd"):
        return f(10, 3, 3) | f(5, 2, 6)
    if mnemonic == "c.lwsp":
        return f(12, 1, 5) | f(4, 3, 2) | f(2, 2, 6)
    if mnemonic in ("c.ldsp", "c.fldsp"):
        return f(12, 1, 5) | f(5, 2, 3) | f(2, 3, 6)
    if mnemonic == "c.swsp":
        return f(9, 4, 2) | f(7, 2, 6)
    if mnemonic in ("c.sdsp", "c.fsdsp"):
        return f(10, 3, 3) | f(7, 3, 6)
    return 0


def reference(lines):
    with tempfile.TemporaryDirectory() as directory:
        program = os.path.join(directory, "execute")
        subprocess.run(["riscv64-linux-gnu-gcc", "-O1", "-static", "-march=rv64gc", "-x", "c", os.path.join(here, "execute.c.in"), "-o", program], check=True)
        command = ["qemu-riscv64", "-cpu", "rv64,zba=true,zbb=true,zbs=true,zbc=true,zk=true,zks=true", program]
        result = subprocess.run(command, input="\n".join(lines) + "\n", capture_output=True, text=True)
    output = result.stdout.split("\n")[:-1]
    if len(output) != len(lines):
        sys.exit(f"the reference stopped at: {lines[len(output)]} ({result.returncode})")
    return [[int(word, 16) for word in line.split()] for line in output]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=18)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", default=os.path.join(here, "vectors.txt"))
    parser.add_argument("--add", default="")
    parser.add_argument("--only", default=".*")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    groups, lines = [], []
    for row in read_rows(options.add):
        if row[0] in excluded or not re.fullmatch(options.only, row[0]):
            continue
        for encoding, kind, rd, vectors in groups_of(row, rng, options.count):
            groups.append((row, encoding, kind, rd, vectors))
            if not modelled.match(row[0]):
                lines += [f"{expanded(row[0], encoding):x} {kind} {rd:x} " + " ".join(f"{word:x}" for word in vector) for vector in vectors]
    answers = iter(reference(lines))
    with open(options.output, "a" if options.add else "w") as file:
        for row, encoding, kind, rd, vectors in groups:
            file.write(f"@ {row[0]} {encoding:x} {kind} {rd:x}\n")
            size = len(row[1]) // 8
            for vector in vectors:
                fcsr, a, b, c, m0, m1 = vector
                if modelled.match(row[0]):
                    result, after = model.execute(row[0], encoding, fcsr, a, b)
                    delta, n0, n1 = size, m0, m1
                else:
                    result, after, delta, n0, n1 = next(answers)
                # A compressed instruction is followed by a filler of the same size.
                delta = sign_extend(delta, 64)
                if delta == 4:
                    delta = size
                words = f"{fcsr:x} {a:x} {b:x} {c:x}" + (f" {m0:x} {m1:x}" if kind == "m" else "") + f" > {result:x} {after:x}"
                if delta != size or kind == "m":
                    words += f" {delta & (1 << 64) - 1:x}"
                if kind == "m":
                    words += f" {n0:x} {n1:x}"
                file.write(words + "\n")
    print(f"{sum(len(group[4]) for group in groups)} vectors in {len(groups)} groups")


if __name__ == "__main__":
    main()
