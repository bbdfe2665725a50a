import IR
import Optimizer
import Testing

// Superblocks of a region by hand, and what is left of them when all of it is known. Superblock n starts at n * 0x100.

private let slotTypes: [Type] = Array(repeating: .i64, count: 8)

private func member(
    _ number: UInt64, _ body: String, calls: [UInt64] = [], cases: [UInt64] = [], isFixed: Bool = false
) throws -> RegionMember {
    let lines = body.split(separator: "\n").map { "  " + $0.drop { $0 == " " } }
    let function = try Parser().parse((["block0:"] + lines).joined(separator: "\n") + "\n")
    function.entry = number * 0x100
    #expect(Verifier.messages(for: function) == [])
    return RegionMember(function, calls: calls, cases: cases, isFixed: isFixed)
}

/// The superblocks as text.
private func improved(_ members: [RegionMember]) -> [String] {
    let optimizer = Pipeline()
    for member in members { optimizer.optimize(member.function) }
    _ = RegionValues(slotTypes: slotTypes).improve(members, with: optimizer)
    return members.map { member in
        #expect(Verifier.messages(for: member.function) == [])
        return Printer().text(of: member.function)
    }
}

/// The last of four superblocks: the entry goes to `first` or to `second`, and both go on to it.
private func diamond(_ entry: String, _ first: String, _ second: String, _ last: String) throws -> String {
    try improved([
        member(0, entry + "\n%90 = read.i64 s7\nexitIf %90, 0x200\nexit 0x100"), member(1, first + "\nexit 0x300"),
        member(2, second + "\nexit 0x300"), member(3, last + "\nexit 0x0"),
    ])[3]
}

private let setsFive = "%80 = const.i64 5\nwrite.i64 s1, %80"
private let setsSix = "%80 = const.i64 6\nwrite.i64 s1, %80"
private let copies = "%1 = read.i64 s1\n%2 = const.i64 7\n%3 = add.i64 %1, %2\nwrite.i64 s2, %3"

@Suite struct RegionValuesTests {
    @Test func numbersAreKnownWhereAllWaysAgree() throws {
        #expect(try diamond(setsFive, "", "", copies).contains("const.i64 12"))
        #expect(try diamond("", setsFive, setsFive, copies).contains("const.i64 12"))
        #expect(try !diamond("", setsFive, setsSix, copies).contains("const.i64 12"))
        #expect(try !diamond("", setsFive, "", copies).contains("const.i64 12"))
        #expect(try !diamond(setsFive, "", "interpretOne 0x200", copies).contains("const.i64 12"))
    }

    @Test func boundsAreThoseOfAllWays() throws {
        let masked = "%1 = read.i64 s1\n%2 = const.i64 255\n%3 = and.i64 %1, %2\nwrite.i64 s2, %3"
        let byte = "%10 = read.i64 s3\n%11 = load.i64 [%10] u8\nwrite.i64 s1, %11"
        #expect(try !diamond("", byte, setsFive, masked).contains("zeroExtend"))
        let half = "%10 = read.i64 s3\n%11 = load.i64 [%10] u16\nwrite.i64 s1, %11"
        #expect(try diamond("", byte, half, masked).contains("zeroExtend"))
        let extended = "%1 = read.i64 s1\n%2 = signExtend.i64 %1, 32\nwrite.i64 s2, %2"
        let word = "%10 = read.i64 s3\n%11 = load.i64 [%10] s32\nwrite.i64 s1, %11"
        #expect(try !diamond("", word, setsFive, extended).contains("signExtend"))
        #expect(try diamond("", word, "%10 = read.i64 s3\nwrite.i64 s1, %10", extended).contains("signExtend"))
    }

    /// What a loop changes is not what it was in front of it; what stays a word, does.
    @Test func loopsAreGoneRound() throws {
        let counted = "%1 = read.i64 s1\n%2 = const.i64 1\n%3 = add.i64 %1, %2\nwrite.i64 s1, %3\n%4 = read.i64 s6\n"
            + "exitIf %4, 0x200\nexit 0x100"
        let wide = try improved([member(0, setsFive + "\nexit 0x100"), member(1, counted), member(2, copies + "\nexit 0x0")])
        #expect(wide[1].contains("add.i64") && wide[2].contains("add.i64"))
        let words = """
            %1 = read.i64 s1
            %2 = truncate.i32 %1
            %3 = const.i32 3
            %4 = add.i32 %2, %3
            %5 = signExtend.i64 %4, 32
            write.i64 s1, %5
            %6 = signExtend.i64 %1, 32
            write.i64 s2, %6
            %7 = read.i64 s6
            exitIf %7, 0x200
            exit 0x100
            """
        let narrow = try improved([member(0, setsFive + "\nexit 0x100"), member(1, words), member(2, "exit 0x0")])[1]
        #expect(narrow.contains("write.i64 s2, %1"))
    }

    /// A register that leaves a loop when it is zero is zero there.
    @Test func waysOutSayWhy() throws {
        let body = "%1 = read.i64 s1\n%2 = const.i64 1\n%3 = subtract.i64 %1, %2\nwrite.i64 s1, %3\n%4 = const.i64 0\n"
            + "%5 = compare.i64 equal %3, %4\nexitIf %5, 0x200\nexit 0x100"
        let out = try improved([member(0, "exit 0x100"), member(1, body), member(2, copies + "\nexit 0x0")])[2]
        #expect(out.contains("const.i64 7") && !out.contains("read.i64 s1"))
        // On the other way it is something else.
        let other = try improved([
            member(0, "exit 0x100"), member(1, body.replacing("exit 0x100", with: "exit 0x300")), member(2, "exit 0x0"),
            member(3, copies + "\nexit 0x0"),
        ])[3]
        #expect(other.contains("read.i64 s1"))
    }

    /// A comparison that all ways settle, and the exit with it.
    @Test func exitsAreSettled() throws {
        let exit = "%1 = read.i64 s1\n%2 = const.i64 100\n%3 = compare.i64 greaterUnsigned %1, %2\nexitIf %3, 0x500"
        #expect(try !diamond("", setsFive, setsSix, exit).contains("exitIf"))
        #expect(try diamond("", setsFive, "", exit).contains("exitIf"))
    }

    // MARK: Memory

    private static let keeps = "%10 = read.i64 s3\n%11 = read.i64 s4\nstore.i64 [%10 + 8] u64, %11"
    private static let loads = "%1 = read.i64 s3\n%2 = load.i64 [%1 + 8] u64\nwrite.i64 s2, %2"

    @Test func memoryIsKnown() throws {
        #expect(try !diamond(Self.keeps, "", "", Self.loads).contains("load"))
        #expect(try !diamond("", Self.loads, Self.loads, Self.loads).contains("load"))
        #expect(try diamond("", Self.keeps, "", Self.loads).contains("load"))
        // Another store: of the place behind, of the place itself in part, through another pointer.
        let behind = "%10 = read.i64 s3\n%11 = read.i64 s5\nstore.i64 [%10 + 16] u64, %11"
        #expect(try !diamond(Self.keeps, behind, "", Self.loads).contains("load"))
        #expect(try diamond(Self.keeps, behind.replacing("16", with: "15"), "", Self.loads).contains("load"))
        #expect(try diamond(Self.keeps, behind.replacing("s3", with: "s6"), "", Self.loads).contains("load"))
    }

    @Test func memoryIsForgotten() throws {
        for change in [
            "fence", "interpretOne 0x100", "%10 = read.i64 s6\n%11 = load.i64 [%10] u64 ordered\nwrite.i64 s5, %11",
            "%10 = read.i64 s6\n%11 = read.i64 s5\n%12 = atomic.i64 add [%10] s64, %11\nwrite.i64 s5, %12",
            // Neither the pointer nor the content may have changed.
            "%10 = read.i64 s6\nwrite.i64 s3, %10", "%10 = read.i64 s6\nwrite.i64 s4, %10",
        ] {
            #expect(try diamond(Self.keeps, change, "", Self.loads).contains("load"), "\(change)")
        }
    }

    /// The pointer moves, as that of the stack does.
    @Test func addressesMove() throws {
        let move = "%10 = read.i64 s3\n%11 = const.i64 -32\n%12 = add.i64 %10, %11\nwrite.i64 s3, %12"
        #expect(try !diamond(Self.keeps, move, move, Self.loads.replacing("+ 8", with: "+ 40")).contains("load"))
        #expect(try diamond(Self.keeps, move, move, Self.loads).contains("load"))
    }

    /// A loop that waits for another hart has to look each time.
    @Test func loopsLoadAnew() throws {
        let waits = Self.loads + "\nexitIf %2, 0x200\nexit 0x100"
        let result = try improved([member(0, Self.loads + "\nexit 0x100"), member(1, waits), member(2, "exit 0x0")])
        #expect(result[1].contains("load"))
    }

    /// A word that was stored is its register only where that is known to be a word.
    @Test func widthsMatter() throws {
        let store = "%20 = read.i64 s3\n%21 = read.i64 s1\nstore.i64 [%20] u32, %21"
        let load = "%1 = read.i64 s3\n%2 = load.i64 [%1] s32\nwrite.i64 s2, %2"
        let word = "%10 = read.i64 s6\n%11 = load.i64 [%10] s32\nwrite.i64 s1, %11"
        #expect(try !diamond(word + "\n" + store, "", "", load).contains("load"))
        #expect(try diamond(store, "", "", load).contains("load"))
        #expect(try diamond(word + "\n" + store, "", "", load.replacing("s32", with: "u32")).contains("load"))
    }

    // MARK: Calls

    private static let calls = "%60 = const.i64 512\nwrite.i64 s1, %60\nexit 0x100, call %60"
    private static let returns = "%70 = read.i64 s1\n%71 = const.i64 -2\n%72 = and.i64 %70, %71\nexitIndirect %72, return"

    @Test func callsAreFollowed() throws {
        let region = try improved([
            member(0, setsSix.replacing("s1", with: "s4") + "\n" + Self.calls), member(1, Self.returns, calls: [0x200]),
            member(2, copies.replacing("s1", with: "s4") + "\nexit 0x0"),
        ])
        #expect(!region[1].contains("and.i64") && region[1].contains("const.i64 512"))
        #expect(region[2].contains("const.i64 13"))
    }

    /// What a call that leaves the region comes back with is anything.
    @Test func otherCallsAreNot() throws {
        let region = try improved([
            member(0, setsSix.replacing("s1", with: "s4") + "\nexit 0x200"), member(2, Self.calls.replacing("512", with: "768")),
            member(3, copies.replacing("s1", with: "s4") + "\nexit 0x0"),
        ])
        #expect(region[2].contains("read.i64 s4"))
    }

    @Test func jumpsAreFollowedToTheirCases() throws {
        let jump = setsSix + "\n%10 = read.i64 s5\nexitIndirect %10"
        let last = copies + "\nexit 0x0"
        #expect(try improved([member(0, jump, cases: [0x100]), member(1, last)])[1].contains("const.i64 13"))
        #expect(try improved([member(0, jump), member(1, last)])[1].contains("read.i64 s1"))
    }

    /// The start of the region is entered from anywhere, and what something else stands for stays as it is.
    @Test func someAreLeft() throws {
        let region = try improved([
            member(0, copies + "\nexit 0x100"), member(1, setsSix + "\nexit 0x200"),
            member(2, copies + "\nexit 0x0", isFixed: true),
        ])
        #expect(region[0].contains("read.i64 s1") && region[2].contains("read.i64 s1"))
    }
}
