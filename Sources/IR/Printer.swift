// Writes a function as text; `Parser` reads it back. See Syntax.swift for the form.

/// Textual IR.
package struct Printer {
    private let slotNames: [String]

    /// - Parameter slotNames: names of the guest register slots; a slot without one is written `s10`.
    package init(slotNames: [String] = []) { self.slotNames = slotNames }

    /// The whole function, one instruction a line; removed instructions are left out.
    package func text(of function: Function) -> String {
        var result = ""
        for (number, block) in function.blocks.enumerated() {
            let first = Int(block.start), body = first + Int(block.parameterCount)
            let parameters = (first ..< body).map { "%\($0): \(function[Value($0)].type)" }
            result += "block\(number)\(parameters.isEmpty ? "" : "(\(parameters.joined(separator: ", ")))"):\n"
            for index in body ..< max(body, Int(block.end)) where function[Value(index)].opcode != .nop {
                result += "  " + line(at: Value(index), of: function) + "\n"
            }
        }
        return result
    }

    /// One instruction.
    package func line(at value: Value, of function: Function) -> String {
        let instruction = function[value]
        let name = instruction.opcode.mnemonic
        if instruction.type == .none { return ([name] + operands(of: instruction, function)).joined(separator: " ") }
        let typed = ["\(name).\(instruction.type)"] + operands(of: instruction, function)
        let hasResult = instruction.opcode != .write && instruction.opcode != .store
        return (hasResult ? "%\(value.index) = " : "") + typed.joined(separator: " ")
    }

    /// The parts after the name.
    private func operands(of instruction: Instruction, _ function: Function) -> [String] {
        switch instruction.opcode.syntax {
        case .bare, .blockParameter: []
        case .address: [address(instruction.immediate)]
        case .constant: [constant(instruction)]
        case .read: [slotName(instruction.slot)]
        case .write: ["\(slotName(instruction.slot)), \(text(instruction.a))"]
        case .operands:
            instruction.qualifiers
                + [
                    [instruction.a, instruction.b, instruction.c].prefix(instruction.opcode.operandCount).map(text).joined(
                        separator: ", ")
                ]
        case .extension_: ["\(text(instruction.a)), \(instruction.detail)"]
        case .load: [memory(instruction), instruction.access.text]
        case .store: [memory(instruction), "\(instruction.access.text), \(text(instruction.c))"]
        case .hostAddress: [memory(instruction), "\(instruction.access.text), \(instruction.detail2)"]
        case .atomic:
            [AtomicKind(rawValue: instruction.detail2).map { "\($0)" } ?? "?", "[\(text(instruction.a))]",
             "\(instruction.access.text), \(text(instruction.c))"]
        case .compareExchange:
            ["[\(text(instruction.a))]", "\(instruction.access.text), \(text(instruction.b)), \(text(instruction.c))"]
        case .exitIf: ["\(text(instruction.a)), \(address(instruction.immediate))\(instruction.detail == 1 ? ", once" : "")"]
        case .exit: [address(instruction.immediate) + link(instruction)]
        case .exitIndirect: [text(instruction.a) + link(instruction)]
        case .exitTrap:
            ["\(TrapReason(rawValue: instruction.detail).map { "\($0)" } ?? "?"), \(address(instruction.immediate))"]
        case .jump: [transfer(to: instruction.a, function.transfers(of: instruction)[0].arguments)]
        case .branch:
            [([text(instruction.a)] + function.transfers(of: instruction).map { transfer(to: Value($0.block), $0.arguments) })
                .joined(separator: ", ")]
        }
    }

    private func text(_ value: Value) -> String { value.isNone ? "%none" : "%\(value.index)" }
    private func address(_ immediate: Int64) -> String { "0x" + String(UInt64(bitPattern: immediate), radix: 16) }
    private func slotName(_ slot: Int) -> String { slotNames.indices.contains(slot) ? slotNames[slot] : "s\(slot)" }

    private func constant(_ instruction: Instruction) -> String {
        instruction.type.isFloat ? address(instruction.immediate) : "\(instruction.immediate)"
    }

    private func memory(_ instruction: Instruction) -> String {
        var result = "[\(text(instruction.a))"
        if !instruction.b.isNone { result += " + \(text(instruction.b))*\(instruction.access.scale)" }
        if instruction.immediate > 0 { result += " + \(instruction.immediate)" }
        if instruction.immediate < 0 { result += " - \(instruction.immediate.magnitude)" }
        return result + "]"
    }

    private func link(_ instruction: Instruction) -> String {
        if instruction.detail == 0 && instruction.b.isNone { return "" }
        let hint = TransferHint(rawValue: instruction.detail).map { "\($0)" } ?? "?"
        return ", \(hint)" + (instruction.b.isNone ? "" : " \(text(instruction.b))")
    }

    private func transfer(to block: Value, _ arguments: ArraySlice<Value>) -> String {
        "block\(block.index)" + (arguments.isEmpty ? "" : "(\(arguments.map(text).joined(separator: ", ")))")
    }
}

extension Function {
    /// The blocks that a `jump` or `branch` may go to, with the arguments it passes; none for the other operations.
    package func transfers(of instruction: Instruction) -> [(block: Int, arguments: ArraySlice<Value>)] {
        let start = Int(instruction.immediate & 0xffff_ffff)
        let first = Int((instruction.immediate >> 32) & 0xffff), second = Int((instruction.immediate >> 48) & 0xffff)
        switch instruction.opcode {
        case .jump: return [(Int(instruction.a.index), slice(start, first))]
        case .branch:
            return [(Int(instruction.b.index), slice(start, first)), (Int(instruction.c.index), slice(start + first, second))]
        default: return []
        }
    }

    private func slice(_ start: Int, _ count: Int) -> ArraySlice<Value> {
        arguments[min(start, arguments.count) ..< min(start + count, arguments.count)]
    }
}
