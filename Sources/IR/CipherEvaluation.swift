// Steps of block ciphers, carry-less products and table permutations on 64-bit patterns: the evaluator's arithmetic, and what
// constant folding and hosts without such instructions compute with.
//
// Substitution boxes follow from their algebra, not from tables in the text: FIPS 197, section 5.1.1, and GB/T 32907-2016.

/// One round of AES without the addition of its key.
@usableFromInline package enum AESRound: UInt8, CaseIterable, Sendable {
    case encryptLast, encrypt, decryptLast, decrypt
}

/// What SM4 makes of a byte: the substitution, spread over a word by the linear step of rounds or of the key schedule.
@usableFromInline package enum SM4Step: UInt8, CaseIterable, Sendable {
    case round, keySchedule
}

package enum CipherEvaluation {
    /// The result of a pure cipher operation or table permutation.
    package static func result(of opcode: Opcode, detail: UInt8, _ a: UInt64, _ b: UInt64) -> UInt64 {
        switch opcode {
        case .carrylessMultiply: carrylessProduct(a, b).low
        case .carrylessMultiplyHigh: carrylessProduct(a, b).high
        case .permuteBytes: permuted(a, by: b, laneBits: 8)
        case .permuteNibbles: permuted(a, by: b, laneBits: 4)
        case .aesRound: round(AESRound(rawValue: detail).unsafelyUnwrapped, low: a, high: b)
        case .aesInverseMixColumns: forEachColumn(of: a) { mixed($0, by: inverseMix) }
        case .aesKeyRound: keyWord(UInt32(truncatingIfNeeded: a >> 32), round: detail)
        case .sm4Substitute: UInt64(sm4(SM4Step(rawValue: detail).unsafelyUnwrapped, UInt8(truncatingIfNeeded: a)))
        default: preconditionFailure("\(opcode) is no cipher operation")
        }
    }

    // MARK: Products and permutations

    /// The product of polynomials over GF(2).
    static func carrylessProduct(_ a: UInt64, _ b: UInt64) -> (low: UInt64, high: UInt64) {
        var low: UInt64 = 0, high: UInt64 = 0
        for bit in 0 ..< 64 as Range<UInt64> where b &>> bit & 1 != 0 {
            low ^= a &<< bit
            if bit > 0 { high ^= a &>> (64 &- bit) }
        }
        return (low, high)
    }

    /// Lane by lane of `indices` the lane of `table` with that number; 0 where there is none.
    private static func permuted(_ table: UInt64, by indices: UInt64, laneBits: UInt64) -> UInt64 {
        let mask = (UInt64(1) &<< laneBits) &- 1
        var result: UInt64 = 0
        for shift in stride(from: 0 as UInt64, to: 64, by: Int(laneBits)) {
            let place = (indices &>> shift & mask) &* laneBits
            if place < 64 { result |= (table &>> place & mask) &<< shift }
        }
        return result
    }

    // MARK: AES

    /// Coefficients of the polynomials that columns are multiplied by: FIPS 197, sections 5.1.3 and 5.3.3.
    private static let forwardMix: [UInt8] = [2, 3, 1, 1], inverseMix: [UInt8] = [14, 11, 13, 9]

    /// The low half of the state after a round; with the halves exchanged, its high half.
    private static func round(_ kind: AESRound, low: UInt64, high: UInt64) -> UInt64 {
        let isEncryption = kind == .encrypt || kind == .encryptLast
        let box = isEncryption ? substitution : inverseSubstitution
        var result: UInt64 = 0
        for place in 0 ..< 8 {
            // Row r of the state moves by r columns.
            let column = place / 4, row = place % 4
            let source = (isEncryption ? column + row : column + 4 - row) % 4 * 4 + row
            let byte = UInt8(truncatingIfNeeded: (source < 8 ? low : high) >> UInt64(source % 8 * 8))
            result |= UInt64(box[Int(byte)]) << UInt64(place * 8)
        }
        switch kind {
        case .encryptLast, .decryptLast: return result
        case .encrypt: return forEachColumn(of: result) { mixed($0, by: forwardMix) }
        case .decrypt: return forEachColumn(of: result) { mixed($0, by: inverseMix) }
        }
    }

    private static func forEachColumn(of value: UInt64, _ body: (UInt32) -> UInt32) -> UInt64 {
        UInt64(body(UInt32(truncatingIfNeeded: value))) | UInt64(body(UInt32(truncatingIfNeeded: value >> 32))) << 32
    }

    private static func mixed(_ column: UInt32, by coefficients: [UInt8]) -> UInt32 {
        var result: UInt32 = 0
        for row in 0 ..< 4 {
            var sum: UInt8 = 0
            for other in 0 ..< 4 {
                let byte = UInt8(truncatingIfNeeded: column >> UInt32(other * 8))
                sum ^= product(byte, coefficients[(other + 4 - row) % 4], modulo: aesPolynomial)
            }
            result |= UInt32(sum) << UInt32(row * 8)
        }
        return result
    }

    /// FIPS 197, section 5.2: the word of the key schedule, twice. Round 10 stands for the step without rotation and constant.
    private static func keyWord(_ word: UInt32, round: UInt8) -> UInt64 {
        let rotated = round < 10 ? word >> 8 | word << 24 : word
        var result: UInt32 = 0
        for place in 0 ..< 4 as Range<UInt32> {
            result |= UInt32(substitution[Int(rotated >> (place * 8) & 0xff)]) << (place * 8)
        }
        if round < 10 { result ^= UInt32((0 ..< round).reduce(1) { power, _ in product(power, 2, modulo: aesPolynomial) }) }
        return UInt64(result) << 32 | UInt64(result)
    }

    // MARK: SM4

    private static func sm4(_ step: SM4Step, _ byte: UInt8) -> UInt32 {
        let x = UInt32(sm4Substitution[Int(byte)])
        // The word's bytes are the other way round than in the standard.
        let terms: [UInt32] = step == .round ? [0, 2, 10, 18, 24] : [0, 13, 23]
        let word = x << 24
        let sum = terms.reduce(0) { $0 ^ ($1 == 0 ? word : word << $1 | word >> (32 &- $1)) }
        return sum.byteSwapped
    }

    // MARK: Substitution boxes

    /// x^8 + x^4 + x^3 + x + 1 and x^8 + x^7 + x^6 + x^5 + x^4 + x^2 + 1, without their highest terms.
    private static let aesPolynomial: UInt8 = 0x1b, sm4Polynomial: UInt8 = 0xf5

    private static let substitution = (0 ... 255).map { (byte: UInt8) -> UInt8 in
        let x = inverse(byte, modulo: aesPolynomial)
        return [1, 2, 3, 4].reduce(x ^ 0x63) { $0 ^ rotated(x, $1) }
    }

    private static let inverseSubstitution: [UInt8] = {
        var result = [UInt8](repeating: 0, count: 256)
        for (byte, substitute) in substitution.enumerated() { result[Int(substitute)] = UInt8(byte) }
        return result
    }()

    private static let sm4Substitution = (0 ... 255).map { (byte: UInt8) -> UInt8 in
        sm4Affine(inverse(sm4Affine(byte), modulo: sm4Polynomial))
    }

    /// Bit i of the result is the parity of the byte under 0xa7 rotated by i, changed where 0xd3 has a one.
    private static func sm4Affine(_ byte: UInt8) -> UInt8 {
        (0 ..< 8).reduce(0xd3) { $0 ^ UInt8((byte & rotated(0xa7, $1)).nonzeroBitCount & 1) << UInt8($1) }
    }

    private static func rotated(_ byte: UInt8, _ amount: Int) -> UInt8 {
        amount == 0 ? byte : byte << UInt8(amount) | byte >> UInt8(8 - amount)
    }

    private static func product(_ a: UInt8, _ b: UInt8, modulo polynomial: UInt8) -> UInt8 {
        var result: UInt8 = 0, power = a
        for bit in 0 ..< 8 as Range<UInt8> {
            if b >> bit & 1 != 0 { result ^= power }
            power = power << 1 ^ (power >= 0x80 ? polynomial : 0)
        }
        return result
    }

    /// The inverse, as the power of 254; of 0 it is 0.
    private static func inverse(_ a: UInt8, modulo polynomial: UInt8) -> UInt8 {
        (0 ..< 254).reduce(1) { power, _ in product(power, a, modulo: polynomial) }
    }
}
