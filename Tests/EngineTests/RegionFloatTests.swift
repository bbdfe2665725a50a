// Floats that stay pending from superblock to superblock: whoever looks in between sees what the interpreter has.

import Engine
import GuestRISCV
import Testing

private let canonicalSingle: UInt64 = 0xffff_ffff_7fc0_0000, canonicalDouble: UInt64 = 0x7ff8_0000_0000_0000
private let box: UInt64 = 0xffff_ffff_0000_0000

@Suite struct RegionFloatTests {
    /// f28 and f29 are zero and infinity; f30 and f31 the same as f32. Their products are NaNs that x86 does not make canonical.
    private static let constants: [Int: UInt64] = [60: 0, 61: 0x7ff0_0000_0000_0000, 62: box, 63: box | 0x7f80_0000]
    private static let double: UInt32 = 10, single: UInt32 = 11, sum: UInt32 = 12

    /// A loop in a loop. The inner one begins with `first`, then writes the registers that are pending behind it.
    private static func loops(_ first: (inout ItemList) -> Void) -> ItemList {
        var list = ItemList()
        list.words(Encode.addi(21, 0, 8))
        let start = list.here
        list.words(Encode.addi(20, 0, 9))
        list.words(Encode.float(2, 1, double, 28, 29), Encode.float(2, 0, single, 30, 31))
        let inside = list.here
        first(&list)
        list.words(Encode.float(2, 1, double, 29, 28), Encode.float(2, 0, single, 31, 30), Encode.float(0, 1, sum, sum, double))
        list.words(Encode.addi(20, 20, -1))
        list.branch(1, 20, 0, to: inside)
        list.words(Encode.addi(21, 21, -1))
        list.branch(1, 21, 0, to: start)
        return list
    }

    /// The access is the first thing in the inner loop, in front of what writes the registers again.
    @Test(arguments: [Encode.ld(7, 5, 0), Encode.sd(6, 5), Encode.floatLoad(3, 14, 5, 0)]) func faultsSettle(access: UInt32) {
        let executors = RegionExecutors(), end = executors.arena.codeRange.upperBound + UInt64(GuestArena.dataBytes)
        let list = Self.loops { $0.words(access, Encode.addi(5, 5, 8), Encode.addi(6, 6, 1)) }
        for distance in 40 ..< 60 as Range<UInt64> {
            let result = executors.agree(list.program(Self.constants.merging([5: end - distance * 8]) { $1 }), "\(distance)")
            #expect(result.words[6] == distance && result.words[5] == end)
            #expect(result.words[32 + Int(Self.double)] == canonicalDouble)
            #expect(result.words[32 + Int(Self.single)] == canonicalSingle)
            #expect(result.words[32 + Int(Self.sum)] == canonicalDouble)
        }
    }

    /// Ways out of the inner loop, to behind the outer one and to its rest, in front of what writes the registers again.
    @Test(arguments: [false, true]) func exitsSettle(leavesAll: Bool) {
        let executors = RegionExecutors()
        var out = 0
        var list = Self.loops { list in
            list.words(Encode.addi(6, 6, 1))
            out = list.branch(leavesAll ? 0 : 4, leavesAll ? 6 : 20, leavesAll ? 7 : 21)
        }
        // fmv.x.d of what the guest sees there.
        list.land(out)
        list.words(0xe200_0053 | 24 << 7 | Self.double << 15, 0xe200_0053 | 25 << 7 | Self.single << 15)
        list.words(Encode.add(22, 22, 24), Encode.add(23, 23, 25), Encode.addi(21, 21, -1))
        list.branch(4, 0, 21, to: 1)
        let result = executors.agree(list.program(Self.constants.merging([7: 45]) { $1 }))
        #expect(result.words[32 + Int(Self.double)] == canonicalDouble && result.words[24] == canonicalDouble)
        #expect(result.words[25] == canonicalSingle)
    }

    /// What enters the region, or is loaded in it, is no result of arithmetic: its bits stay, whatever NaN they are.
    @Test func otherContentKeepsItsBits() {
        let executors = RegionExecutors(), odd: UInt64 = 0xfff8_0000_0000_1234, signalling: UInt64 = 0xffff_ffff_7fa0_0001
        let end = executors.arena.codeRange.upperBound + UInt64(GuestArena.dataBytes)
        // The outer loop moves odd NaNs to the registers in every second iteration, by fsgnj.d.
        var list = ItemList()
        list.words(Encode.addi(21, 0, 12))
        let start = list.here
        list.words(Encode.addi(20, 0, 5), Encode.immediate(0x13, 7, 19, 21, 1))
        list.words(Encode.float(2, 1, 10, 28, 29), Encode.float(2, 0, 11, 30, 31))
        let over = list.branch(0, 19, 0)
        list.words(0x2200_0053 | 10 << 7 | 14 << 15 | 14 << 20, 0x2200_0053 | 11 << 7 | 15 << 15 | 15 << 20)
        list.land(over)
        let inside = list.here
        list.words(Encode.ld(7, 5, 0), Encode.addi(5, 5, 8))
        list.words(Encode.float(2, 1, 10, 29, 28), Encode.float(2, 0, 11, 31, 30), Encode.addi(20, 20, -1))
        list.branch(1, 20, 0, to: inside)
        list.words(Encode.addi(21, 21, -1))
        list.branch(1, 21, 0, to: start)
        for distance in 20 ..< 46 as Range<UInt64> {
            let registers = Self.constants.merging([5: end - distance * 8, 46: odd, 47: signalling]) { $1 }
            let result = executors.agree(list.program(registers), "\(distance)")
            // At the first access behind the moves they are seen.
            let isFirst = distance % 5 == 0, isOdd = (12 - distance / 5) % 2 == 1
            #expect(result.words[42] == (isFirst && isOdd ? odd : canonicalDouble))
            #expect(result.words[43] == (isFirst && isOdd ? signalling : canonicalSingle))
        }
    }
}
