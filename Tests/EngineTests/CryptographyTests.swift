// Ciphers and hash functions as guest code, by every executor, against the answers that their standards print.

import GuestRISCV
import Testing

/// Guest code in the making, with the instructions of the cryptography extensions.
private struct CipherCode {
    private(set) var words: [UInt32] = []

    mutating func register(_ function3: UInt32, _ function7: UInt32, _ rd: UInt32, _ rs1: UInt32, _ rs2: UInt32) {
        words.append(Encode.register(function3, function7, rd, rs1, rs2))
    }
    mutating func xor(_ rd: UInt32, _ rs1: UInt32, _ rs2: UInt32) { register(4, 0, rd, rs1, rs2) }
    mutating func and(_ rd: UInt32, _ rs1: UInt32, _ rs2: UInt32) { register(7, 0, rd, rs1, rs2) }
    mutating func addw(_ rd: UInt32, _ rs1: UInt32, _ rs2: UInt32) { words.append(Encode.register(0, 0, rd, rs1, rs2) | 8) }
    mutating func unary(_ immediate: Int32, _ rd: UInt32, _ rs1: UInt32) { words.append(Encode.immediate(0x13, 1, rd, rs1, immediate)) }
    mutating func move(_ rd: UInt32, _ rs1: UInt32) { words.append(Encode.addi(rd, rs1, 0)) }
    mutating func load(_ function: UInt32, _ rd: UInt32, _ rs1: UInt32, _ offset: Int) {
        words.append(Encode.load(function, rd, rs1, Int32(offset)))
    }
    mutating func store(_ function: UInt32, _ rs2: UInt32, _ rs1: UInt32, _ offset: Int) {
        words.append(Encode.store(0x23, function, rs2, rs1, Int32(offset)))
    }

    /// lui and addiw.
    mutating func constant(_ rd: UInt32, _ value: UInt32) {
        words.append(0x37 | rd << 7 | (value &+ 0x800) & 0xffff_f000)
        words.append(Encode.immediate(0x1b, 0, rd, rd, Int32(bitPattern: value << 20) >> 20))
    }
}

@Suite struct CryptographyTests {
    /// Runs the code and compares registers.
    private func check(_ code: CipherCode, _ start: [Int: UInt64], _ expected: [Int: UInt64], _ title: String) {
        let arena = GuestArena(), cipher = program(code.words, start)
        for executor in [EngineExecutor("interpreter", arena) { $0.policy = .interpreter }] + EngineExecutor.configurations(arena) {
            let outcome = executor.run(cipher, arena)
            for (register, value) in expected {
                let actual = outcome.words[register]
                #expect(actual == value, "\(title), \(executor.name), x\(register): \(String(actual, radix: 16))")
            }
        }
    }

    private let pointer = PointerRegister.all[0]
    private let plain: (UInt64, UInt64) = (0x7766_5544_3322_1100, 0xffee_ddcc_bbaa_9988)
    private let key: (UInt64, UInt64) = (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908)
    private let cipherText: (UInt64, UInt64) = (0x3004_7b6a_d8e0_c469, 0x5ac5_b470_80b7_cdd8)

    /// The next round's key in x12 and x13.
    private func expandKey(_ code: inout CipherCode, _ round: Int) {
        code.unary(Int32(0b0011_0001_0000 | round), 16, 13)
        code.register(0, 0b0111111, 12, 16, 12)
        code.register(0, 0b0111111, 13, 12, 13)
    }

    /// FIPS 197, appendix C.1. The state is in x10 and x11.
    @Test func aesEncrypts() {
        var code = CipherCode()
        code.xor(10, 10, 12)
        code.xor(11, 11, 13)
        for round in 0 ..< 10 {
            expandKey(&code, round)
            let function: UInt32 = round < 9 ? 0b0011011 : 0b0011001
            code.register(0, function, 17, 10, 11)
            code.register(0, function, 18, 11, 10)
            code.xor(10, 17, 12)
            code.xor(11, 18, 13)
        }
        check(code, [10: plain.0, 11: plain.1, 12: key.0, 13: key.1], [10: cipherText.0, 11: cipherText.1], "AES-128 encryption")
    }

    /// The same backwards, by the equivalent inverse cipher (FIPS 197, section 5.3.5): keys come from memory.
    @Test func aesDecrypts() {
        var code = CipherCode()
        for round in 0 ... 10 {
            code.store(3, 12, pointer, round * 16)
            code.store(3, 13, pointer, round * 16 + 8)
            if round < 10 { expandKey(&code, round) }
        }
        code.xor(10, 10, 12)
        code.xor(11, 11, 13)
        for round in (0 ..< 10).reversed() {
            let function: UInt32 = round > 0 ? 0b0011111 : 0b0011101
            code.register(0, function, 17, 10, 11)
            code.register(0, function, 18, 11, 10)
            for (half, register) in [(0, 12), (1, 13)] as [(Int, UInt32)] {
                code.load(3, register, pointer, round * 16 + half * 8)
                if round > 0 { code.unary(0b0011_0000_0000, register, register) }
            }
            code.xor(10, 17, 12)
            code.xor(11, 18, 13)
        }
        check(code, [10: cipherText.0, 11: cipherText.1, 12: key.0, 13: key.1], [10: plain.0, 11: plain.1], "AES-128 decryption")
    }

    /// The first bits of fractions of roots of the first primes: FIPS 180-4, sections 4.2.2 and 5.3.3.
    private func fraction(_ root: Double) -> UInt32 { UInt32((root - root.rounded(.down)) * 4_294_967_296) }
    private let primes = (2 ..< 312).filter { number in !(2 ..< number).contains { number % $0 == 0 } }
    private func cubeRoot(_ number: Int) -> Double {
        var root = Double(number) / 3
        for _ in 0 ..< 60 { root -= (root * root * root - Double(number)) / (3 * root * root) }
        return root
    }

    /// FIPS 180-4, of "abc": a block of sixteen words. a to h are in x10 to x13 and x16 to x19.
    @Test func sha256Hashes() {
        let digest: [UInt32] = [
            0xba78_16bf, 0x8f01_cfea, 0x4141_40de, 0x5dae_2223, 0xb003_61a3, 0x9617_7a9c, 0xb410_ff61, 0xf200_15ad,
        ]
        var state: [UInt32] = [10, 11, 12, 13, 16, 17, 18, 19], code = CipherCode()
        let registers = state, initial = primes.prefix(8).map { fraction(Double($0).squareRoot()) }
        for (register, word) in zip(state, initial) { code.constant(register, word) }
        for word in 0 ..< 16 {
            code.constant(20, word == 0 ? 0x6162_6380 : word == 15 ? 24 : 0)
            code.store(2, 20, pointer, word * 4)
        }
        for round in 0 ..< 64 {
            let (a, b, c, d, e, f, g, h) = (state[0], state[1], state[2], state[3], state[4], state[5], state[6], state[7])
            code.load(2, 20, pointer, round * 4)
            code.constant(21, fraction(cubeRoot(primes[round])))
            code.addw(h, h, 20)
            code.addw(h, h, 21)
            code.unary(0b0001_0000_0001, 21, e)  // sum1
            code.addw(h, h, 21)
            code.xor(21, f, g)  // ch
            code.and(21, 21, e)
            code.xor(21, 21, g)
            code.addw(h, h, 21)
            code.addw(d, d, h)
            code.unary(0b0001_0000_0000, 21, a)  // sum0
            code.addw(h, h, 21)
            code.and(21, a, b)  // maj
            code.xor(22, a, b)
            code.and(22, 22, c)
            code.xor(21, 21, 22)
            code.addw(h, h, 21)
            state.insert(state.removeLast(), at: 0)
            guard round < 48 else { continue }
            code.load(2, 21, pointer, (round + 1) * 4)
            code.unary(0b0001_0000_0010, 21, 21)  // sig0
            code.addw(20, 20, 21)
            code.load(2, 21, pointer, (round + 9) * 4)
            code.addw(20, 20, 21)
            code.load(2, 21, pointer, (round + 14) * 4)
            code.unary(0b0001_0000_0011, 21, 21)  // sig1
            code.addw(20, 20, 21)
            code.store(2, 20, pointer, (round + 16) * 4)
        }
        for (register, word) in zip(registers, initial) {
            code.constant(21, word)
            code.addw(register, register, 21)
        }
        let expected = zip(registers, digest).map { (Int($0), UInt64(bitPattern: Int64(Int32(bitPattern: $1)))) }
        check(code, [:], Dictionary(uniqueKeysWithValues: expected), "SHA-256")
    }

    /// GB/T 32907-2016, appendix A.1: text and key are the same. The text is in x10 to x13, the key in x16 to x19, as words whose bytes are
    /// the other way round than the standard writes them.
    @Test func sm4Encrypts() {
        let text: [UInt32] = [0x0123_4567, 0x89ab_cdef, 0xfedc_ba98, 0x7654_3210]
        let result: [UInt32] = [0x681e_df34, 0xd206_965e, 0x86b3_e94f, 0x536e_4246]
        var code = CipherCode(), state: [UInt32] = [10, 11, 12, 13], keys: [UInt32] = [16, 17, 18, 19]
        for (word, constant) in ([0xa3b1_bac6, 0x56aa_3350, 0x677d_9197, 0xb270_22dc] as [UInt32]).enumerated() {
            code.constant(state[word], text[word].byteSwapped)
            code.constant(keys[word], (text[word] ^ constant).byteSwapped)
        }
        for round in 0 ..< 32 as Range<UInt32> {
            let constant = (0 ..< 4 as Range<UInt32>).reduce(0) { $0 << 8 | (round * 4 + $1) * 7 & 0xff } as UInt32
            code.constant(20, constant.byteSwapped)
            for other in keys.dropFirst() { code.xor(20, 20, other) }
            for byte in 0 ..< 4 as Range<UInt32> { code.register(0, byte << 5 | 0b11010, keys[0], keys[0], 20) }
            code.move(21, keys[0])
            for other in state.dropFirst() { code.xor(21, 21, other) }
            for byte in 0 ..< 4 as Range<UInt32> { code.register(0, byte << 5 | 0b11000, state[0], state[0], 21) }
            state.append(state.removeFirst())
            keys.append(keys.removeFirst())
        }
        let expected = zip(state.reversed(), result).map { (Int($0), UInt64(bitPattern: Int64(Int32(bitPattern: $1.byteSwapped)))) }
        check(code, [:], Dictionary(uniqueKeysWithValues: expected), "SM4")
    }

    /// The numbers of rounds above 10 are no instructions.
    @Test func reservedRoundsAreIllegal() {
        for round in 0 ..< 16 {
            let instruction = RISCVDecoder.decode(Encode.immediate(0x13, 1, 10, 11, Int32(0b0011_0001_0000 | round)))
            #expect(instruction.opcode == (round <= 10 ? .aes64ks1i : .illegal))
        }
    }
}
