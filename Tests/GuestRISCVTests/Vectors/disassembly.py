#!/usr/bin/env python3
"""Makes disassembly.txt: encodings of every row and their text according to LLVM's disassembler (llvm-objdump with RISC-V).

Each line is an encoding and the text at address 0x10000 plus four times the line's number, in the style of GNU objdump: no blanks
behind commas. Usage: disassembly.py [LLVM-OBJDUMP [ROWS]], where ROWS has the rows whose file has it in its name appended.
"""
import os, random, re, struct, subprocess, sys, tempfile
from generate import encode, read_rows, here

rng = random.Random(3)
llvm = sys.argv[1] if len(sys.argv) > 1 else "llvm-objdump"
part = sys.argv[2] if len(sys.argv) > 2 else ""
text_file = os.path.join(here, "disassembly.txt")
start = 0x10000
if part:
    with open(text_file) as file:
        start += 4 * len(file.readlines())
encodings = []
for mnemonic, pattern, format in read_rows(part):
    for number in range(4):
        fields = {letter: rng.getrandbits(32) for letter in "dstuiar"}
        fields["n"] = rng.randrange(11)
        fields["m"] = rng.choice([0, 1, 2, 3, 4, 7])
        if mnemonic == "fcvtmod.w.d":
            fields["m"] = 1
        if format == "fence":   # other bits are reserved, and shown by nobody
            fields.update(d=0, s=0, i=rng.getrandbits(8))
        if mnemonic == "fence.i":
            fields.update(d=0, s=0, i=0)
        if format in ("csr", "csrImmediate"):
            fields["i"] = rng.choice([1, 2, 3, 0xc00, 0xc01, 0xc02])
            if number == 1:
                fields["s"] = 0
            if number == 2:
                fields["d"] = 0
        if number == 0 and "rounded" not in format.lower():
            fields["s"] = rng.choice([0, 1, fields["t"] & 31])
        if number == 3 and format in ("immediate", "jumpRegister"):
            fields["i"] = rng.choice([0, 1, -1, 255])
        if number == 3 and format in ("branch", "register"):
            fields["t"] = 0
        if number == 3 and format == "jump":
            fields["d"] = rng.choice([0, 1])
        if mnemonic.startswith("fence"):
            fields["s"] = 0
        bits = encode(pattern, fields)
        demanded = int("".join("1" if letter.isupper() else "0" for letter in pattern), 2)
        if demanded and not bits & demanded:
            continue
        if mnemonic == "c.addi" and bits >> 7 & 31 == 0:   # hints, shown differently by everybody
            continue
        if mnemonic == "c.lui" and bits >> 7 & 31 == 2:
            continue
        encodings.append(bits)

with tempfile.TemporaryDirectory() as directory:
    source = os.path.join(directory, "code.s")
    program = os.path.join(directory, "code.o")
    with open(source, "w") as file:
        for bits in encodings:
            file.write(f".4byte {bits:#x}\n" if bits & 3 == 3 else f".2byte {bits:#x}\n.2byte 1\n")
    subprocess.run(["riscv64-linux-gnu-gcc", "-c", "-march=rv64gc", source, "-o", program], check=True)
    features = "+m,+a,+f,+d,+c,+zba,+zbb,+zbs,+zfa,+zicond,+zicbom,+zicboz,+zicsr,+zifencei,+zcb,+zimop,+zawrs,+zbc,+zbkb,+zbkc,+zbkx,+zknd,+zkne,+zknh,+zksed,+zksh"
    command = [llvm, "-d", "--triple=riscv64", "--mattr=" + features, "--print-imm-hex=false", "--adjust-vma=" + hex(start), program]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout

texts = {}
for line in output.splitlines():
    match = re.match(r"\s*([0-9a-f]+): ([0-9a-f ]+?)\s*\t(.*)", line)
    if match:
        text = re.sub(r"\s+", " ", re.sub(r"\s*(<.*>|#.*)$", "", match[3])).replace(", ", ",").strip()
        texts[int(match[1], 16) - start] = text


def styled(text):
    """Upper immediates and shift amounts in hexadecimal, and the hint that LLVM shows as a fence."""
    if text == "fence w,0":
        return "pause"
    match = re.match(r"((?:lui|auipc|slliw?|srliw?|sraiw?|slli\.uw|roriw?|bclri|bexti|binvi|bseti|aes64ks1i|sm4ed|sm4ks) .*,)(\d+)$", text)
    return match[1] + hex(int(match[2])) if match else text


with open(text_file, "a" if part else "w") as file:
    for number, bits in enumerate(encodings):
        file.write(f"{bits:x} {styled(texts[number * 4])}\n")
