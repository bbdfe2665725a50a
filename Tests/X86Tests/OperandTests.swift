// Operands as values.

import Testing

@testable import X86

@Suite struct OperandTests {
    @Test func memoryOperandsAreSmallAndTrivial() {
        #expect(MemoryLayout<Memory>.size == 8)
        #expect(_isPOD(Memory.self) && _isPOD(Label.self) && _isPOD(Assembler.self))
    }

    @Test(arguments: Register.allCases)
    func advancedOperandsAreAsIfMadeSo(base: Register) {
        let displacements: [Int32] = [0, 1, -1, 127, 128, -128, -129, 1 << 20]
        for first in displacements {
            for second in displacements {
                let move = second &- first
                #expect(Memory.base(base, first).advanced(by: move) == .base(base, second))
                let indexed = Memory.base(base, index: .r9, scale: 4, first).advanced(by: move)
                #expect(indexed == .base(base, index: .r9, scale: 4, second))
                let baseless = Memory.index(.r13, scale: 8, first).advanced(by: move)
                #expect(baseless == .index(.r13, scale: 8, second))
                #expect(Memory.absolute(first).advanced(by: move) == .absolute(second))
            }
        }
    }

    /// Whether `condition` holds after `cmp first, second` on bytes.
    private func holds(_ condition: Condition, _ first: Int8, _ second: Int8) -> Bool {
        let (difference, overflow) = first.subtractingReportingOverflow(second)
        let borrow = UInt8(bitPattern: first) < UInt8(bitPattern: second)
        switch condition {
        case .o: return overflow
        case .b: return borrow
        case .e: return first == second
        case .be: return borrow || first == second
        case .s: return difference < 0
        case .p: return difference.nonzeroBitCount % 2 == 0
        case .l: return first < second
        case .le: return first <= second
        case .no, .ae, .ne, .a, .ns, .np, .ge, .g: return !holds(condition.inverted, first, second)
        }
    }

    @Test func swappedConditionsHoldOfSwappedOperands() {
        let values: [Int8] = [-128, -127, -1, 0, 1, 126, 127]
        for condition in [Condition.b, .ae, .e, .ne, .be, .a, .l, .ge, .le, .g] {
            for first in values {
                for second in values {
                    #expect(holds(condition, first, second) == holds(condition.swappedOperands, second, first))
                }
            }
        }
    }

    @Test func invertingTwiceChangesNothing() {
        for condition in Condition.allCases {
            #expect(condition.inverted != condition && condition.inverted.inverted == condition)
        }
        #expect(Condition.b.inverted == .ae && Condition.le.inverted == .g && Condition.e.inverted == .ne)
    }
}
