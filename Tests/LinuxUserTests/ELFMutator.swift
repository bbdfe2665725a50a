// Damages ELF programs in the ways that get past the first checks: headers with values near a limit, program headers that
// contradict each other, cut files, changed code. The same seed gives the same damage.

import TestSupport

struct ELFMutator {
    private(set) var bytes: [UInt8]
    /// What was done, for the message of a failure.
    private(set) var description = ""
    private var random: SplitMix
    private let headerCount: Int
    private let code: Range<Int>

    /// Offset and width of the fields of the file's header, and of a program header (System V ABI, chapters 4 and 5).
    private static let headerFields = [
        (0, 4), (4, 1), (5, 1), (6, 1), (7, 1), (16, 2), (18, 2), (20, 4), (24, 8), (32, 8), (40, 8), (48, 4), (52, 2), (54, 2),
        (56, 2), (58, 2), (60, 2), (62, 2),
    ]
    private static let programHeaderFields = [(0, 4), (4, 4), (8, 8), (16, 8), (24, 8), (32, 8), (40, 8), (48, 8)]
    /// Types that a loader looks at.
    private static let types: [UInt64] = [0, 1, 2, 3, 4, 6, 7, 0x6474_e550, 0x6474_e551, 0x6474_e553, 0x7000_0003]
    private static let numbers: [UInt64] = [
        0, 1, 2, 3, 7, 8, 55, 56, 57, 63, 64, 0xff, 0x100, 0xfff, 0x1000, 0x1001, 0x7fff, 0x8000, 0xffff, 0x1_0000, 0xffff_ffff,
        0x7fff_ffff, 0x8000_0000, 0x1_0000_0000, 0x2a_aaaa_a000, 0x3f_ff7f_f000, 0x3f_ffff_f000, 0x40_0000_0000, 0x3f_ffff_ffff,
        0x5555_5555_5000, 0x7fff_ffff_f000, 1 << 63, (1 << 63) - 1, ~0, ~0 - 0xfff, ~0 - 0x1000,
    ]
    private static let paths = [
        "", "/", ".", "/tmp", "/dev/zero", "/dev/null", "/dev/tty", "/proc/self/exe", "/proc/self/mem", "/etc/passwd",
        "/no/such/linker",
        "\u{1}\u{2}", String(repeating: "x", count: 300), String(repeating: "a/", count: 200),
    ]

    init(_ original: [UInt8], seed: UInt64) {
        bytes = original
        random = SplitMix(seed: seed)
        func field(_ offset: Int, _ width: Int) -> Int { (0..<width).reduce(0) { $0 | Int(original[offset + $1]) << (8 * $1) } }
        headerCount = field(56, 2)
        let segment = (0..<headerCount).map { 64 + 56 * $0 }.first { field($0, 4) == 1 && field($0 + 4, 4) & 1 != 0 } ?? 64
        code = field(segment + 8, 8)..<field(segment + 8, 8) + field(segment + 32, 8)
        for _ in 0..<random.pick([1, 1, 1, 2, 3, 6]) { mutate() }
    }

    private mutating func mutate() {
        switch random.below(12) {
        case 0...1: changeField(random.pick(Self.headerFields), at: 0, "header")
        case 2...4: changeProgramHeader()
        case 5: copyProgramHeader()
        case 6: nameInterpreter()
        case 7: cut()
        case 8: scatter(in: 0..<64 + 56 * headerCount, upTo: 8)
        case 9: scatter(in: 0..<bytes.count, upTo: 200)
        case 10: changeInstructions(32)
        default: changeInstructions(2)
        }
    }

    private mutating func changeField(_ field: (offset: Int, width: Int), at base: Int, _ name: String) {
        let offset = base + field.offset
        guard offset + field.width <= bytes.count else { return }
        let old = (0..<field.width).reduce(UInt64(0)) { $0 | UInt64(bytes[offset + $1]) << UInt64(8 * $1) }
        var value: UInt64
        switch random.below(5) {
        case 0: value = random.pick(Self.numbers)
        case 1: value = old &+ random.pick(Self.numbers)
        case 2: value = old ^ 1 << UInt64(random.below(8 * field.width))
        case 3: value = UInt64(bytes.count) &+ random.pick([0, 1, ~0, 0x1000, ~0 - 0xfff])
        default: value = random.next() >> UInt64(random.below(64))
        }
        if field.offset == 0 && base != 0 { value = random.pick(Self.types) }
        for index in 0..<field.width { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index)) }
        description += "\(name)[\(field.offset)] = 0x\(String(value, radix: 16)); "
    }

    private mutating func changeProgramHeader() {
        let index = random.below(headerCount)
        changeField(random.pick(Self.programHeaderFields), at: 64 + 56 * index, "program header \(index)")
    }

    private mutating func copyProgramHeader() {
        let from = random.below(headerCount), to = random.below(headerCount)
        guard 64 + 56 * headerCount <= bytes.count else { return }
        for index in 0..<56 { bytes[64 + 56 * to + index] = bytes[64 + 56 * from + index] }
        description += "program header \(to) = \(from); "
    }

    /// Makes some header an interpreter's, its name at the end of the file.
    private mutating func nameInterpreter() {
        let index = random.below(headerCount), base = 64 + 56 * index
        guard base + 56 <= bytes.count else { return }
        let path = Array(random.pick(Self.paths).utf8) + (random.below(4) == 0 ? [] : [0])
        let words: [UInt64] = [3 | 4 << 32, UInt64(bytes.count), 0, 0, UInt64(path.count), UInt64(path.count), 1]
        for (word, value) in words.enumerated() {
            for byte in 0..<8 { bytes[base + 8 * word + byte] = UInt8(truncatingIfNeeded: value >> UInt64(8 * byte)) }
        }
        bytes += path
        description += "interpreter of \(path.count) bytes in header \(index); "
    }

    private mutating func cut() {
        let count = random.below(2) == 0 ? random.below(200) : random.below(bytes.count + 1)
        guard count < bytes.count else { return }
        bytes.removeLast(bytes.count - count)
        description += "cut to \(count); "
    }

    private mutating func scatter(in range: Range<Int>, upTo limit: Int) {
        let range = range.clamped(to: 0..<bytes.count)
        guard !range.isEmpty else { return }
        let count = 1 + random.below(limit)
        for _ in 0..<count { bytes[range.lowerBound + random.below(range.count)] = UInt8(truncatingIfNeeded: random.next()) }
        description += "\(count) random bytes below \(range.upperBound); "
    }

    /// Other instructions, or the same with a bit changed.
    private mutating func changeInstructions(_ limit: Int) {
        let range = code.clamped(to: 0..<bytes.count)
        guard range.count >= 4 else { return }
        let count = 1 + random.below(limit)
        for _ in 0..<count {
            let offset = range.lowerBound + random.below(range.count - 3) & ~1
            if random.below(2) == 0 {
                bytes[offset + random.below(4)] ^= 1 << UInt8(random.below(8))
            } else {
                let word = random.next()
                for index in 0..<4 { bytes[offset + index] = UInt8(truncatingIfNeeded: word >> UInt64(8 * index)) }
            }
        }
        description += "\(count) instructions; "
    }
}
