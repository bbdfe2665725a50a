// States as bytes: CBOR against the examples of RFC 8949, structs there and back, and bytes that nobody vouches for; packed
// blocks.

import DeviceModel
import TestSupport
import Testing

@Suite struct StateValueTests {
    /// Appendix A of the RFC.
    private static let examples: [(StateValue, String)] = [
        (.unsigned(0), "00"), (.unsigned(23), "17"), (.unsigned(24), "1818"), (.unsigned(100), "1864"),
        (.unsigned(1000), "1903e8"),
        (.unsigned(1_000_000), "1a000f4240"), (.unsigned(1_000_000_000_000), "1b000000e8d4a51000"),
        (.unsigned(.max), "1bffffffffffffffff"),
        (.negative(0), "20"), (.negative(99), "3863"), (.negative(999), "3903e7"), (.negative(.max), "3bffffffffffffffff"),
        (.bool(false), "f4"), (.bool(true), "f5"), (.null, "f6"), (.bytes([1, 2, 3, 4]), "4401020304"),
        (.text("IETF"), "6449455446"), (.text("ü"), "62c3bc"),
        (.list([]), "80"),
        (.list([.unsigned(1), .list([.unsigned(2), .unsigned(3)]), .list([.unsigned(4), .unsigned(5)])]), "8301820203820405"),
        (.record([.init("a", .unsigned(1)), .init("b", .list([.unsigned(2), .unsigned(3)]))]), "a26161016162820203"),
    ]

    private func bytes(_ text: String) -> [UInt8] {
        stride(from: 0, to: text.count, by: 2).map { UInt8(text.dropFirst($0).prefix(2), radix: 16)! }
    }

    @Test func examplesOfTheStandard() throws {
        for (value, text) in StateValueTests.examples {
            #expect(value.encoded == bytes(text))
            #expect(try StateValue(encoded: bytes(text)) == value)
        }
    }

    @Test func whatIsNoState() {
        // Floats, tags, lengths that are not definite, names that are no texts, ends that are missing, too much.
        for text in [
            "", "18", "f90000", "c001", "9fff", "5f", "a10102", "62ff", "820102" + "03", "1c", "ff", "a1", "9b7fffffffffffffff",
            "5bffffffffffffffff", "bb8000000000000000",
        ] {
            #expect(throws: StateError.self) { try StateValue(encoded: self.bytes(text)) }
        }
        #expect(throws: StateError.self) { try StateValue(encoded: [UInt8](repeating: 0x81, count: 100_000)) }
    }

    private struct Inner: Codable, Equatable { var flag: Bool, words: [UInt16], nothing: [UInt32] = [] }
    private enum Kind: String, Codable { case first, second }
    private struct Everything: Codable, Equatable {
        var small: Int8, byte: UInt8, large: Int64, word: UInt64, bytes: [UInt8], empty: [UInt8], lists: [[UInt8]],
            inner: [Inner], kind: Kind
        var text: String, some: UInt32?, none: UInt32?, set: Set<Int>, optionals: [UInt8?]
    }

    @Test func structsThereAndBack() throws {
        let value = Everything(
            small: -128, byte: 255, large: .min, word: .max, bytes: [0, 255], empty: [], lists: [[], [1], [2, 3]],
            inner: [Inner(flag: true, words: [1, 65535])],
            kind: .second, text: "ä", some: 0, none: nil, set: [3, -5], optionals: [nil, 7])
        let tree = try StateValue(encoding: value)
        #expect(try StateValue(encoded: tree.encoded).decode(Everything.self) == value)
        #expect(tree["empty"] == .bytes([]) && tree["none"] == nil && tree["small"] == .negative(127))
        guard case .list(let inner)? = tree["inner"] else { return #expect(Bool(false)) }
        #expect(inner[0]["nothing"] == .list([]))
    }

    @Test func messagesNameTheField() throws {
        let tree = try StateValue(encoding: [Inner(flag: false, words: [1, 2])])
        func message(_ change: (inout [StateValue.Field]) -> Void) -> String {
            guard case .list(let list) = tree, case .record(var fields) = list[0] else { return "" }
            change(&fields)
            do { _ = try StateValue.list([.record(fields)]).decode([Inner].self) } catch { return "\(error)" }
            return "nothing"
        }
        #expect(message { $0[1].value = .list([.unsigned(1), .unsigned(65536)]) } == "[0].words[1]: a number that is too large")
        #expect(message { $0[0].value = .unsigned(1) } == "[0].flag: not of the right kind")
        #expect(message { $0.removeFirst() } == "[0].flag: missing")
        #expect(message { $0[1].value = .negative(0) } == "[0].words: not a list")
        #expect(throws: StateError.self) { try StateValue(encoding: 1.5) }
        #expect(throws: StateError(": not one of its values")) { try StateValue.text("third").decode(Kind.self) }
    }
}

@Suite struct BlockPackingTests {
    private func packed(_ source: [UInt8]) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: source.count + BlockPacking.expansionLimit)
        var table = [UInt16](repeating: 0x5555, count: BlockPacking.tableCount)
        let count = source.withUnsafeBytes { from in
            result.withUnsafeMutableBytes { to in
                table.withUnsafeMutableBufferPointer { BlockPacking.pack(from, into: to, table: $0.baseAddress!) }
            }
        }
        return Array(result.prefix(count))
    }

    private func unpacked(_ source: [UInt8], _ count: Int) -> [UInt8]? {
        // Guard bytes behind the end must stay as they are.
        var result = [UInt8](repeating: 0xa5, count: count + 64)
        let isGood = source.withUnsafeBytes { from in
            result.withUnsafeMutableBytes {
                BlockPacking.unpack(from, into: UnsafeMutableRawBufferPointer(rebasing: $0[..<count]))
            }
        }
        #expect(result.suffix(64).allSatisfy { $0 == 0xa5 })
        return isGood ? Array(result.prefix(count)) : nil
    }

    private func sample(_ random: inout SplitMix, _ count: Int) -> [UInt8] {
        switch random.below(5) {
        case 0: return random.bytes(count)
        case 1: return [UInt8](repeating: UInt8(truncatingIfNeeded: random.next()), count: count)
        case 2: // pointers into one region
            return (0..<count / 8 + 1).flatMap { _ in
                let word = 0xffff_ffd8_0000_0000 | random.next() & 0xffff8
                return (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(8 * $0)) }
            }.prefix(count).map { $0 }
        case 3: return (0..<count).map { _ in UInt8(random.below(3)) }
        default:
            let period = 1 + random.below(300), pattern = random.bytes(period)
            return (0..<count).map { random.below(200) == 0 ? 1 : pattern[$0 % period] }
        }
    }

    @Test func thereAndBack() {
        var random = SplitMix(seed: 21)
        for count in Array(0..<70) + [4095, 4096, 65535, 65536] + (0..<60).map({ _ in random.below(65536) }) {
            let source = sample(&random, count), small = packed(source)
            #expect(small.count <= count + BlockPacking.expansionLimit)
            #expect(unpacked(small, count) == source, "\(count) bytes")
        }
    }

    @Test func itIsWorthIt() {
        #expect(packed([UInt8](repeating: 7, count: 65536)).count < 300)
        #expect(packed(Array((0..<4096).flatMap { _ in Array("all work and no ".utf8) })).count < 400)
    }

    @Test func damagedBlocks() {
        var random = SplitMix(seed: 22), refused = 0
        for _ in 0..<3000 {
            let count = 1 + random.below(2000)
            var small = packed(sample(&random, count))
            for _ in 0...random.below(4) {
                small[random.below(small.count)] = random.below(3) == 0 ? 255 : UInt8(truncatingIfNeeded: random.next())
            }
            if random.below(4) == 0 { small.removeLast(random.below(small.count)) }
            if unpacked(small, count) == nil { refused += 1 }
            // Whatever it makes of these, it stays where it may write.
            _ = unpacked(random.bytes(random.below(40)), random.below(300))
        }
        #expect(refused > 500)
        #expect(unpacked([], 0) == [] && unpacked([], 1) == nil)
    }

    @Test func pagesOfZeroes() {
        var page = [UInt64](repeating: 0, count: 512)
        #expect(page.withUnsafeBytes { BlockPacking.isZeroPage($0.baseAddress!) })
        for bit in stride(from: 0, to: 4096 * 8, by: 61) {
            page[bit / 64] = 1 << UInt64(bit % 64)
            #expect(!page.withUnsafeBytes { BlockPacking.isZeroPage($0.baseAddress!) })
            page[bit / 64] = 0
        }
    }
}
