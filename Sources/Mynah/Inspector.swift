// Translates code of a file that is not running, and keeps every stage: lift, optimise, emit, in one straight line.

import Guest
import GuestRISCV
import Host
import IR
import Optimizer
import X86Backend

package final class Inspector {
    package let image: ELFImage
    private let isa: GuestISA = RISCV64()
    private let code: ExecutableMemory
    private let stubs: CodeStubs
    private let translator: Translator
    private let function = Function()
    private let optimizer: Pipeline

    package init(image: ELFImage, options: OptimizerOptions = .all) throws {
        self.image = image
        code = try ExecutableMemory(byteCount: 1 << 20)
        let map = RegisterMap(
            slots: isa.slots.map { SlotLayout(offset: $0.offset, type: $0.type) }, hotIntegers: isa.hotIntegerSlots,
            hotFloats: isa.hotFloatSlots, programCounterOffset: isa.programCounterOffset)
        // Nothing is executed, so that code for rare instructions may call address 0.
        stubs = CodeStubs(writable: code.writable, executable: code.executable, capacity: 8192, map: map, interpretOneFunction: 0)
        translator = Translator(map: map, stubs: stubs, features: CPUFeatures.host)
        optimizer = Pipeline(options: options)
    }

    /// The translation that starts at `address`.
    /// - Throws: `ProgramError` when there is no code.
    package func translation(at address: UInt64, instructionLimit: Int) throws -> TranslationView {
        guard image.codeWindow(at: GuestAddress(address)) != nil else {
            throw ProgramError.badOption("there is no code at \(GuestAddress(address))")
        }
        var limits = LiftLimits(instructions: instructionLimit)
        while true {
            function.reset(entry: address)
            var builder = Builder(function: function, slotTypes: isa.slots.map(\.type))
            let mode = TranslationMode(rawValue: 0)
            _ = isa.lift(at: GuestAddress(address), mode: mode, source: image, limits: limits, into: &builder)
            let printer = Printer(slotNames: isa.slots.map(\.name))
            let lifted = printer.text(of: function)
            let addresses = boundaries
            optimizer.optimize(function)
            let start = stubs.byteCount
            let translation = translator.translate(
                function, writable: code.writable + start, executable: code.executable + UInt64(start),
                capacity: code.byteCount - start)
            guard let translation else {
                guard limits.instructions > 1 else {
                    throw ProgramError.internalError("no room for the code at \(GuestAddress(address))")
                }
                limits.instructions /= 2
                continue
            }
            let host = Array(UnsafeRawBufferPointer(start: code.writable + start, count: translation.byteCount))
            let listing = HostListing(
                host, at: translation.entry, entries: [(address, 0)], links: translation.links,
                slots: isa.slots.map { ($0.offset, $0.name) }, programCounterOffset: isa.programCounterOffset, stubs: stubs)
            return TranslationView(
                entry: address, guest: addresses.map(disassembled), lifted: lifted, optimized: printer.text(of: function),
                host: host, hostAddress: translation.entry,
                positions: translation.positions.map { (Int($0.codeOffset), $0.address) },
                listing: listing)
        }
    }

    /// The guest instructions of the function, in order.
    private var boundaries: [UInt64] {
        (0 ..< function.count).compactMap { index in
            let instruction = function[Value(index)]
            return instruction.opcode == .boundary ? UInt64(bitPattern: instruction.immediate) : nil
        }
    }

    private func disassembled(_ address: UInt64) -> DisassembledInstruction {
        guard let window = image.codeWindow(at: GuestAddress(address)) else {
            return DisassembledInstruction(address: address, byteCount: 0, encoding: 0, text: "(no code)")
        }
        return isa.disassemble(at: address, in: window)
    }
}
