// Functions as containers, and the columns of operations.

import IR
import Testing

@Suite struct FunctionTests {
    @Test func columnsSayWhatOperationsDo() {
        let columns = OpcodeColumns()
        for opcode in Opcode.allCases { #expect(columns.effects(of: opcode) == opcode.effects) }
    }

    /// A copy has the same text, whatever it held before, and buffers of its own.
    @Test func copiesAreTheSameAndApart() {
        func fill(_ function: Function, _ count: Int64) {
            function.reset(entry: 0x1000)
            var builder = Builder(function: function, slotTypes: [.i64, .i64])
            builder.startBlock()
            var value = builder.read(0)
            for number in 0 ..< count { value = builder.add(value, builder.i64(number * 3)) }
            builder.write(1, value)
            builder.exit(to: 0x1000)
            function.groupIterations = 3
        }
        let original = Function(capacity: 4), copy = Function(capacity: 2), printer = Printer(slotNames: ["x", "y"])
        fill(copy, 50)
        fill(original, 20)
        let text = printer.text(of: original)
        copy.becomeCopy(of: original)
        #expect(printer.text(of: copy) == text && copy.entry == original.entry && copy.groupIterations == 3)
        copy[Value(0)] = Instruction(.nop)
        #expect(printer.text(of: original) == text && printer.text(of: copy) != text)
    }

    /// An absent operand is at -1, and everything else where it is.
    @Test func absentOperandsHaveAPlaceOfTheirOwn() {
        #expect(Value.none.place == -1 && Value(0).place == 0 && Value(70_000).place == 70_000)
    }
}
