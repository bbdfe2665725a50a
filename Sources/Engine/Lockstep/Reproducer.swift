// A block and the state that it starts from, as a value and as text: what is needed to see a wrong translation again.
//
// One line a fact: `isa NAME`, `control MXCSR`, `state OFFSET WORD` for state that is no register, `register NAME VALUE`,
// `memory ADDRESS BYTES`, `code ADDRESS ENCODING # text`. Numbers are hexadecimal; a `#` starts a comment; what is not
// mentioned is as after reset.

import CHost
import Guest

package struct Reproducer: Sendable, Equatable {
    package struct Code: Sendable, Equatable {
        package var address: UInt64
        package var encoding: UInt32
        package var byteCount: Int
        package var text: String
        package var disassembled: DisassembledInstruction {
            DisassembledInstruction(address: address, byteCount: byteCount, encoding: encoding, text: text)
        }
    }

    package var isa: String
    /// MXCSR: the guest's rounding mode and sticky flags.
    package var control: UInt32
    /// The guest's state, whole.
    package var state: [UInt8]
    /// Bytes that the block loads or stores, at its start.
    package var memory: [UInt64: UInt8]
    /// In the order of execution; the program counter in the state is the first one's address.
    package var code: [Code]

    /// Records what the interpreter touches in the block that starts at the CPU's state, and puts everything back.
    init(recording cpu: VirtualCPU, _ comparison: BlockComparison, _ block: LockstepBlock) {
        let isa = cpu.engine.isa, source = cpu.engine.memory
        self.isa = isa.name
        control = cpu.header.pointee.guest_mxcsr
        state = Array(UnsafeRawBufferPointer(start: cpu.state, count: isa.stateByteCount))
        memory = [:]
        code = []
        for step in block.steps {
            guard let window = source.codeWindow(at: GuestAddress(step.address)) else { break }
            let instruction = isa.disassemble(at: step.address, in: window)
            code.append(
                Code(address: step.address, encoding: instruction.encoding, byteCount: instruction.byteCount, text: instruction.text))
        }
        comparison.saveStart(of: cpu)
        memory = Reproducer.touchedMemory(cpu, comparison, block.steps, count: block.steps.count)
        Reproducer.putBack(memory)
        comparison.restoreRegisters(cpu)
    }

    /// Executes `count` steps by the interpreter, as far as they follow each other; the state and memory are then those behind.
    /// - Returns: what was in memory before, where they loaded or stored.
    static func touchedMemory(
        _ cpu: VirtualCPU, _ comparison: BlockComparison, _ steps: [LockstepStep], count: Int
    ) -> [UInt64: UInt8] {
        var memory: [UInt64: UInt8] = [:]
        for step in steps.prefix(count) {
            if cpu.programCounter.pointee != step.address { continue }
            guard step.footprint.kind == .repeatable else { break }
            let byteCount = UInt64(max(step.footprint.loadedBytes, step.footprint.storedBytes))
            let first = step.footprint.address(cpu.state)
            for index in 0 ..< byteCount where memory[first &+ index] == nil {
                if let byte = guardedByte(first &+ index) { memory[first &+ index] = byte }
            }
            if !comparison.step(cpu, step) { break }
        }
        return memory
    }

    static func guardedByte(_ address: UInt64) -> UInt8? {
        var byte: UInt8 = 0
        return mynah_copy(&byte, GuestWord.pointer(address), 1) == 0 ? byte : nil
    }

    /// Gives memory these contents, where it has others.
    static func putBack(_ memory: [UInt64: UInt8]) {
        for (address, byte) in memory where guardedByte(address) != byte {
            var byte = byte
            _ = mynah_copy(GuestWord.pointer(address), &byte, 1)
        }
    }
}

// MARK: - Text

extension Reproducer {
    /// - Throws: nothing; unknown lines make it nil.
    package init?(text: String, isa: GuestISA) {
        let slots = Dictionary(uniqueKeysWithValues: isa.slots.map { ($0.name, Int($0.offset)) })
        let bytes = Reproducer.withResetState(isa) { state, control in
            (Array(UnsafeRawBufferPointer(start: state, count: isa.stateByteCount)), control)
        }
        (state, control) = bytes
        self.isa = isa.name
        memory = [:]
        code = []
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: "#", maxSplits: 1)
            let words = (parts.first ?? "").split(separator: " ").map(String.init)
            guard let kind = words.first, !line.hasPrefix("#") else { continue }
            guard words.count >= 2 else { return nil }
            switch kind {
            case "isa": if words[1] != isa.name { return nil }
            case "control":
                guard let value = Reproducer.number(words[1]) else { return nil }
                control = UInt32(truncatingIfNeeded: value)
            case "state", "register":
                let place = kind == "state" ? Reproducer.number(words[1]).map { Int(clamping: $0) } : slots[words[1]]
                guard let place, place <= state.count - 8, words.count == 3, let value = Reproducer.number(words[2])
                else { return nil }
                state.withUnsafeMutableBytes { $0.storeBytes(of: value, toByteOffset: place, as: UInt64.self) }
            case "memory":
                guard words.count == 3, let start = Reproducer.number(words[1]) else { return nil }
                for (index, pair) in stride(from: 0, to: words[2].utf8.count, by: 2).enumerated() {
                    guard let byte = UInt8(words[2].dropFirst(pair).prefix(2), radix: 16) else { return nil }
                    memory[start &+ UInt64(index)] = byte
                }
            case "code":
                guard words.count == 3, let address = Reproducer.number(words[1]), let encoding = UInt32(words[2], radix: 16)
                else { return nil }
                let text = parts.count > 1 ? parts[1].drop { $0 == " " } : ""
                code.append(Code(address: address, encoding: encoding, byteCount: words[2].utf8.count / 2, text: String(text)))
            default: return nil
            }
        }
        guard let first = code.first else { return nil }
        state.withUnsafeMutableBytes { $0.storeBytes(of: first.address, toByteOffset: Int(isa.programCounterOffset), as: UInt64.self) }
    }

    private static func number(_ text: String) -> UInt64? {
        text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : UInt64(text, radix: 16)
    }

    static func withResetState<Result>(_ isa: GuestISA, _ body: (UnsafeMutableRawPointer, UInt32) -> Result) -> Result {
        let headerBytes = Int(MYNAH_CPU_HEADER_BYTES)
        let block = UnsafeMutableRawPointer.allocate(byteCount: headerBytes + isa.stateByteCount, alignment: 64)
        defer { block.deallocate() }
        block.initializeMemory(as: UInt8.self, repeating: 0, count: headerBytes + isa.stateByteCount)
        isa.initialize(state: block + headerBytes)
        return body(block + headerBytes, mynah_cpu_of(block + headerBytes).pointee.guest_mxcsr)
    }

    package func text(_ isa: GuestISA) -> String {
        let hex = { (value: UInt64) in "0x" + String(value, radix: 16) }
        var text = "isa \(self.isa)\ncontrol \(hex(UInt64(control)))\n"
        let reset = Reproducer.withResetState(isa) { state, _ in Array(UnsafeRawBufferPointer(start: state, count: isa.stateByteCount)) }
        let slots = Dictionary(uniqueKeysWithValues: isa.slots.map { (Int($0.offset), $0.name) })
        for offset in stride(from: 0, to: state.count & ~7, by: 8) where offset != Int(isa.programCounterOffset) {
            let value = state.withUnsafeBytes { $0.load(fromByteOffset: offset, as: UInt64.self) }
            if value == reset.withUnsafeBytes({ $0.load(fromByteOffset: offset, as: UInt64.self) }) { continue }
            text += slots[offset].map { "register \($0) \(hex(value))\n" } ?? "state \(hex(UInt64(offset))) \(hex(value))\n"
        }
        var run: (start: UInt64, text: String) = (0, "")
        var last: UInt64?
        for address in memory.keys.sorted() {
            if last.map({ $0 &+ 1 == address && run.text.utf8.count < 64 }) != true {
                if last != nil { text += "memory \(hex(run.start)) \(run.text)\n" }
                run = (address, "")
            }
            run.text += Reproducer.padded(UInt64(memory[address]!), 2)
            last = address
        }
        if last != nil { text += "memory \(hex(run.start)) \(run.text)\n" }
        for line in code {
            text += "code \(hex(line.address)) \(Reproducer.padded(UInt64(line.encoding), line.byteCount * 2))  # \(line.text)\n"
        }
        return text
    }

    private static func padded(_ value: UInt64, _ digits: Int) -> String {
        let text = String(value, radix: 16)
        return String(repeating: "0", count: max(0, digits - text.count)) + text
    }
}
