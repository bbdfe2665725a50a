// Reads the text that `Printer` writes. A `;` starts a comment.
//
// `%7` becomes instruction 7 when the numbers rise through the text, as the printer's do (gaps are filled with removed
// instructions); text written by hand may number its values freely and is renumbered.

/// Why a text is not IR.
package struct ParseError: Error, Equatable, CustomStringConvertible {
    package let line: Int
    package let reason: String
    package init(line: Int, reason: String) {
        self.line = line
        self.reason = reason
    }
    package var description: String { "line \(line): \(reason)" }
}

package struct Parser {
    private let slotNames: [String]

    /// - Parameter slotNames: names of the guest register slots; `s10` is slot 10 in any case.
    package init(slotNames: [String] = []) { self.slotNames = slotNames }

    /// The function that the text describes; not verified.
    package func parse(_ text: String) throws(ParseError) -> Function {
        var assembly = Assembly(slotNames: slotNames)
        for (offset, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            try assembly.add(line: line, number: offset + 1)
        }
        return try assembly.finish()
    }
}

/// A function while its text is being read; operands hold the numbers of the text until `finish`.
private struct Assembly {
    let slotNames: [String]
    let function = Function(capacity: 64)
    var indices: [UInt32: Int] = [:]
    /// Line of each instruction, for messages about operands.
    var lines: [Int] = []
    var line = 0

    func failure(_ reason: String) -> ParseError { ParseError(line: line, reason: reason) }

    mutating func add(line text: Substring, number: Int) throws(ParseError) {
        line = number
        var scanner = Scanner(text.prefix { $0 != ";" }, line: number)
        guard let first = scanner.peek else { return }
        if first.hasPrefix("block") { return try startBlock(&scanner) }
        if function.blocks.isEmpty { throw failure("an instruction before the first block") }
        try addInstruction(&scanner)
        if let rest = scanner.peek { throw failure("unexpected '\(rest)'") }
    }

    mutating func finish() throws(ParseError) -> Function {
        guard !function.blocks.isEmpty else { throw failure("no block") }
        function.blocks[function.blocks.count - 1].end = Int32(function.count)
        for index in 0 ..< function.count {
            line = lines[index]
            var instruction = function[Value(index)]
            let count = instruction.opcode.operandCount
            if count > 0 { instruction.a = try resolve(instruction.a) }
            if count > 1 { instruction.b = try resolve(instruction.b) }
            if count > 2 { instruction.c = try resolve(instruction.c) }
            function[Value(index)] = instruction
            for target in function.transfers(of: instruction) {
                for position in target.arguments.indices {
                    function.arguments[position] = try resolve(function.arguments[position])
                }
            }
        }
        return function
    }

    private func resolve(_ value: Value) throws(ParseError) -> Value {
        if value.isNone { return value }
        guard let index = indices[value.index] else { throw failure("%\(value.index) has no definition") }
        return Value(index)
    }

    // MARK: Lines

    private mutating func startBlock(_ scanner: inout Scanner) throws(ParseError) {
        let number = try scanner.block()
        guard number == function.blocks.count else { throw failure("block\(number) where block\(function.blocks.count) is next") }
        var parameters: [(UInt32, Type)] = []
        if scanner.accept("(") {
            repeat {
                let name = try scanner.value()
                try scanner.expect(":")
                parameters.append((name.index, try type(named: try scanner.word())))
            } while scanner.accept(",")
            try scanner.expect(")")
        }
        try scanner.expect(":")
        if let rest = scanner.peek { throw failure("unexpected '\(rest)'") }
        if number > 0 { function.blocks[number - 1].end = Int32(function.count) }
        if let first = parameters.first { pad(to: first.0) }
        let start = Int32(function.count)
        for (name, type) in parameters { try define(name, Instruction(.parameter, type)) }
        function.blocks.append(Block(start: start, end: start, parameterCount: Int32(parameters.count)))
    }

    private mutating func addInstruction(_ scanner: inout Scanner) throws(ParseError) {
        var name: UInt32?
        if scanner.peek?.hasPrefix("%") == true {
            name = try scanner.value().index
            try scanner.expect("=")
        }
        let word = try scanner.word()
        let parts = word.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard let opcode = Opcode.byMnemonic[parts[0]], parts.count <= 2 else { throw failure("unknown operation '\(word)'") }
        var instruction = Instruction(opcode, parts.count == 2 ? try type(named: parts[1]) : .none)
        try parseOperands(&scanner, &instruction)
        let makesValue = instruction.type != .none && opcode != .write && opcode != .store
        guard makesValue == (name != nil) else {
            throw failure(makesValue ? "the result of \(word) has no name" : "\(word) has no result")
        }
        if let name { pad(to: name); try define(name, instruction) } else { append(instruction) }
    }

    private mutating func append(_ instruction: Instruction) {
        function.append(instruction)
        lines.append(line)
    }

    private mutating func pad(to name: UInt32) {
        // A typing error must not allocate gigabytes.
        while function.count < name && name < 65_536 { append(Instruction(.nop)) }
    }

    private mutating func define(_ name: UInt32, _ instruction: Instruction) throws(ParseError) {
        guard indices.updateValue(function.count, forKey: name) == nil else { throw failure("%\(name) is defined twice") }
        append(instruction)
    }

    // MARK: Operands

    private func type(named name: String) throws(ParseError) -> Type {
        guard let type = Type.allCases.first(where: { "\($0)" == name }), type != .none else {
            throw failure("unknown type '\(name)'")
        }
        return type
    }

    private mutating func parseOperands(_ scanner: inout Scanner, _ instruction: inout Instruction) throws(ParseError) {
        switch instruction.opcode.syntax {
        case .bare: break
        case .blockParameter: throw failure("parameters belong to the block's header")
        case .address: instruction.immediate = try scanner.number()
        case .constant: instruction.immediate = try scanner.number()
        case .read: instruction.immediate = try slot(try scanner.word())
        case .write:
            instruction.immediate = try slot(try scanner.word())
            try scanner.expect(",")
            instruction.a = try scanner.value()
        case .operands: try parseQualifiedOperands(&scanner, &instruction)
        case .extension_:
            instruction.a = try scanner.value()
            try scanner.expect(",")
            instruction.detail = UInt8(truncatingIfNeeded: try scanner.number())
        case .load: try parseMemory(&scanner, &instruction)
        case .store:
            try parseMemory(&scanner, &instruction)
            try scanner.expect(",")
            instruction.c = try scanner.value()
        case .hostAddress:
            try parseMemory(&scanner, &instruction)
            try scanner.expect(",")
            instruction.detail2 = UInt8(truncatingIfNeeded: try scanner.number())
        case .atomic:
            let kind = try scanner.word()
            guard let known = AtomicKind.allCases.first(where: { "\($0)" == kind }) else {
                throw failure("unknown atomic '\(kind)'")
            }
            instruction.detail2 = known.rawValue
            try parseMemory(&scanner, &instruction)
            try scanner.expect(",")
            instruction.c = try scanner.value()
        case .compareExchange:
            try parseMemory(&scanner, &instruction)
            try scanner.expect(",")
            instruction.b = try scanner.value()
            try scanner.expect(",")
            instruction.c = try scanner.value()
        case .exitIf, .exit, .exitIndirect, .exitTrap, .jump, .branch: try parseControl(&scanner, &instruction)
        }
    }

    private func parseQualifiedOperands(_ scanner: inout Scanner, _ instruction: inout Instruction) throws(ParseError) {
        var words: [String] = []
        for _ in 0 ..< Instruction.qualifierCount(instruction.opcode) { words.append(try scanner.word()) }
        guard instruction.setQualifiers(words) else { throw failure("unknown '\(words.joined(separator: " "))'") }
        for position in 0 ..< instruction.opcode.operandCount {
            if position > 0 { try scanner.expect(",") }
            let value = try scanner.value()
            switch position {
            case 0: instruction.a = value
            case 1: instruction.b = value
            default: instruction.c = value
            }
        }
    }

    private func parseMemory(_ scanner: inout Scanner, _ instruction: inout Instruction) throws(ParseError) {
        var scale = 1
        try scanner.expect("[")
        instruction.a = try scanner.value()
        while !scanner.accept("]") {
            let isNegative = scanner.accept("-")
            if !isNegative { try scanner.expect("+") }
            if !isNegative && scanner.peek?.hasPrefix("%") == true {
                instruction.b = try scanner.value()
                try scanner.expect("*")
                scale = Int(try scanner.number())
                guard [1, 2, 4, 8].contains(scale) else { throw failure("a scale is 1, 2, 4 or 8") }
            } else {
                let displacement = try scanner.number()
                instruction.immediate = isNegative ? 0 &- displacement : displacement
            }
        }
        let word = try scanner.word()
        guard let bits = Int(word.dropFirst()), [8, 16, 32, 64].contains(bits), word.first == "u" || word.first == "s" else {
            throw failure("unknown access '\(word)'")
        }
        let ordered = scanner.accept("ordered")
        instruction.detail = Access(bytes: bits / 8, signed: word.first == "s", scale: scale, ordered: ordered).rawValue
    }

    private mutating func parseControl(_ scanner: inout Scanner, _ instruction: inout Instruction) throws(ParseError) {
        switch instruction.opcode {
        case .exit:
            instruction.immediate = try scanner.number()
            try parseLink(&scanner, &instruction)
        case .exitTrap:
            let reason = try scanner.word()
            guard let known = TrapReason.allCases.first(where: { "\($0)" == reason }) else {
                throw failure("unknown trap '\(reason)'")
            }
            instruction.detail = known.rawValue
            try scanner.expect(",")
            instruction.immediate = try scanner.number()
        case .jump:
            let start = function.arguments.count
            instruction.a = Value(try parseTransfer(&scanner))
            instruction.immediate = Int64(start) | Int64(function.arguments.count - start) << 32
        default:
            instruction.a = try scanner.value()
            if instruction.opcode == .exitIndirect { return try parseLink(&scanner, &instruction) }
            try scanner.expect(",")
            if instruction.opcode == .exitIf {
                instruction.immediate = try scanner.number()
                guard scanner.accept(",") else { return }
                guard try scanner.word() == "once" else { throw failure("only 'once' may follow") }
                instruction.detail = 1
                return
            }
            let start = function.arguments.count
            instruction.b = Value(try parseTransfer(&scanner))
            let middle = function.arguments.count
            try scanner.expect(",")
            instruction.c = Value(try parseTransfer(&scanner))
            instruction.immediate = Int64(start) | Int64(middle - start) << 32 | Int64(function.arguments.count - middle) << 48
        }
    }

    private func parseLink(_ scanner: inout Scanner, _ instruction: inout Instruction) throws(ParseError) {
        guard scanner.accept(",") else { return }
        let word = try scanner.word()
        guard let hint = TransferHint.allCases.first(where: { "\($0)" == word }) else { throw failure("unknown hint '\(word)'") }
        instruction.detail = hint.rawValue
        if scanner.peek?.hasPrefix("%") == true { instruction.b = try scanner.value() }
    }

    private func parseTransfer(_ scanner: inout Scanner) throws(ParseError) -> Int {
        let block = try scanner.block()
        guard scanner.accept("(") else { return block }
        repeat { function.arguments.append(try scanner.value()) } while scanner.accept(",")
        try scanner.expect(")")
        return block
    }

    private func slot(_ name: String) throws(ParseError) -> Int64 {
        if let index = slotNames.firstIndex(of: name) { return Int64(index) }
        if name.hasPrefix("s"), let number = UInt16(name.dropFirst()) { return Int64(number) }
        throw failure("unknown register '\(name)'")
    }
}
