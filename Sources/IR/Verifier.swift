// Checks a function against the rules that passes and back ends rely on: structure, definition before use, operand types.

/// Finds what is wrong with a function.
package struct Verifier {
    private let function: Function
    private var messages: [String] = []
    /// Block of each instruction; -1 outside of all blocks.
    private var blockOf: [Int]
    private var dominators: [Set<Int>] = []

    private init(_ function: Function) {
        self.function = function
        blockOf = Array(repeating: -1, count: function.count)
    }

    /// Messages, one a violation, each starting with the instruction or block; empty when the function is valid.
    package static func messages(for function: Function) -> [String] {
        var verifier = Verifier(function)
        verifier.checkStructure()
        // Operands can only be judged in a function whose blocks make sense.
        guard verifier.messages.isEmpty else { return verifier.messages }
        verifier.dominators = verifier.computeDominators()
        for index in 0 ..< function.count { verifier.checkOperands(at: index) }
        return verifier.messages
    }

    private mutating func report(_ index: Int, _ reason: String) {
        messages.append("%\(index) \(function[Value(index)].opcode.mnemonic): \(reason)")
    }

    // MARK: Structure

    private mutating func checkStructure() {
        if function.blocks.isEmpty { messages.append("no block") }
        var position = 0
        for (number, block) in function.blocks.enumerated() {
            let start = Int(block.start), end = Int(block.end), body = start + Int(block.parameterCount)
            guard start >= position, end <= function.count, body < end else {
                messages.append("block\(number): its range is empty, overlaps another or leaves the function")
                return
            }
            position = end
            for index in start ..< end {
                blockOf[index] = number
                checkPlace(index, isParameter: index < body, isLast: index == end - 1)
            }
        }
        for index in 0 ..< function.count where blockOf[index] < 0 && function[Value(index)].opcode != .nop {
            report(index, "outside of every block")
        }
        if let entry = function.blocks.first, entry.parameterCount > 0 { messages.append("block0: the entry has parameters") }
    }

    private mutating func checkPlace(_ index: Int, isParameter: Bool, isLast: Bool) {
        let instruction = function[Value(index)]
        if (instruction.opcode == .parameter) != isParameter {
            report(index, "parameters are exactly the first instructions of a block")
        }
        if instruction.opcode.effects.contains(.terminal) != isLast {
            report(index, "a terminal is exactly the last instruction")
        }
        if instruction.opcode == .jump || instruction.opcode == .branch { checkTransfers(index, instruction) }
    }

    private mutating func checkTransfers(_ index: Int, _ instruction: Instruction) {
        for (target, arguments) in function.transfers(of: instruction) {
            guard function.blocks.indices.contains(target) else {
                report(index, "block\(target) does not exist")
                continue
            }
            let block = function.blocks[target]
            if target == 0 { report(index, "the entry is not a target") }
            if arguments.count != Int(block.parameterCount) {
                report(index, "\(arguments.count) arguments for the \(block.parameterCount) parameters of block\(target)")
            }
        }
    }

    /// For each block the blocks on every path to it, itself included.
    private func computeDominators() -> [Set<Int>] {
        let all = Set(function.blocks.indices)
        var predecessors = Array(repeating: [Int](), count: all.count)
        for (number, block) in function.blocks.enumerated() {
            for transfer in function.transfers(of: function[Value(Int(block.end) - 1)]) {
                predecessors[transfer.block].append(number)
            }
        }
        var result = Array(repeating: all, count: all.count)
        result[0] = [0]
        var changed = true
        while changed {
            changed = false
            for number in 1 ..< max(1, all.count) {
                var common = predecessors[number].isEmpty ? [] : all
                for predecessor in predecessors[number] { common.formIntersection(result[predecessor]) }
                common.insert(number)
                if common != result[number] { result[number] = common; changed = true }
            }
        }
        return result
    }

    // MARK: Operands

    private mutating func checkOperands(at index: Int) {
        let instruction = function[Value(index)]
        let operands = [instruction.a, instruction.b, instruction.c].prefix(instruction.opcode.operandCount)
        let isBranch = instruction.opcode == .branch
        var types: [Type] = []
        for operand in operands { types.append(operand.isNone ? .none : checkUse(of: operand, at: index)) }
        if !isBranch {
            for (position, operand) in [instruction.a, instruction.b, instruction.c].enumerated().dropFirst(operands.count)
            where !operand.isNone && instruction.opcode != .jump {
                report(index, "operand \(["a", "b", "c"][position]) is not part of the operation")
            }
        }
        for (target, arguments) in function.transfers(of: instruction) {
            for (position, argument) in arguments.enumerated() {
                let expected = function[Value(Int(function.blocks[target].start) + position)].type
                let type = checkUse(of: argument, at: index)
                if type != expected {
                    report(index, "argument %\(argument.index) is \(type) where block\(target) wants \(expected)")
                }
            }
        }
        if let reason = TypeRules.violation(of: instruction, types + Array(repeating: .none, count: 3 - types.count)) {
            report(index, reason)
        }
    }

    /// Checks that `value` is defined on every path to `index`, and returns its type.
    private mutating func checkUse(of value: Value, at index: Int) -> Type {
        guard !value.isNone, Int(value.index) < function.count else {
            report(index, "uses %\(value.index), which does not exist")
            return .none
        }
        let definition = function[value], defining = Int(value.index)
        if definition.type == .none || definition.opcode == .write || definition.opcode == .store || definition.opcode == .nop {
            report(index, "uses %\(defining), which has no result")
        } else if blockOf[defining] == blockOf[index] {
            if defining >= index { report(index, "uses %\(defining) before its definition") }
        } else if !dominators[blockOf[index]].contains(blockOf[defining]) {
            report(index, "uses %\(defining), whose block does not dominate this one")
        }
        return definition.type
    }
}
