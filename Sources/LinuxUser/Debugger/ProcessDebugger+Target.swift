// What a debugging session asks of a guest process: registers, memory, objects, commands.

import CHost
import GDBStub
import Glibc
import Guest

extension ProcessDebugger: DebugTarget {
    package var description: TargetDescription { process.abi.debugDescription }
    package var catchesSystemCalls: Bool { true }
    package var objects: Set<TransferObject> { [.auxiliaryVector, .executable, .signalInformation] }

    package var threads: [DebugThreadID] { stoppedEntries.map(\.id) }

    package func thread(_ id: DebugThreadID) -> DebugThread? {
        guard let entry = stoppedEntries.first(where: { $0.id == id }) else { return nil }
        let comm = readHostFile("/proc/self/task/\(entry.thread.hostThreadID)/comm")
        let name = comm.hasSuffix("\n") ? String(comm.dropLast()) : comm
        return DebugThread(id: id, name: name, details: entry.phase == .inCall ? callName(entry) : "")
    }

    private func callName(_ entry: DebuggedThread) -> String {
        let number = process.abi.systemCallArguments(entry.thread.state).number
        return process.table[number].map { "in \($0.name)" } ?? ""
    }

    // MARK: Registers

    package func register(_ number: Int, of thread: DebugThreadID) -> [UInt8]? {
        guard let entry = stoppedEntries.first(where: { $0.id == thread }), description.registers.indices.contains(number),
            let value = process.abi.debugRegister(number, entry.thread.state)
        else { return nil }
        return (0 ..< description.registers[number].byteCount).map { UInt8(truncatingIfNeeded: value >> UInt64($0 * 8)) }
    }

    package func setRegister(_ number: Int, to bytes: [UInt8], of thread: DebugThreadID) -> Bool {
        // What a debugger writes back unchanged need not bring a thread out of its system call.
        if let now = register(number, of: thread), now == bytes { return true }
        var value: UInt64 = 0
        for (index, byte) in bytes.prefix(8).enumerated() { value |= UInt64(byte) << UInt64(index * 8) }
        return withChangeableThread(thread) { process.abi.setDebugRegister(number, $0.thread.state, to: value) } ?? false
    }

    // MARK: Memory

    package func readMemory(at address: UInt64, byteCount: Int, thread: DebugThreadID?) -> [UInt8] {
        let count = process.memory.mappedByteCount(at: address, limit: byteCount)
        var bytes = [UInt8](repeating: 0, count: count)
        guard count > 0 else { return [] }
        let done = bytes.withUnsafeMutableBytes { buffer -> Int in
            let done =
                memoryDescriptor < 0
                ? -1 : pread(memoryDescriptor, buffer.baseAddress, buffer.count, off_t(truncatingIfNeeded: address))
            return done > 0 ? done : copyFromGuest(buffer.baseAddress!, count: count, at: address) ? count : 0
        }
        return Array(bytes.prefix(done))
    }

    package func writeMemory(at address: UInt64, _ bytes: [UInt8], thread: DebugThreadID?) -> Bool {
        guard process.memory.mappedByteCount(at: address, limit: bytes.count) == bytes.count else { return false }
        let range = address ..< address &+ UInt64(bytes.count)
        // Whatever was translated from here, or from another mapping of the same memory, is outdated.
        process.memory.releaseWatches(in: range)
        let done = bytes.withUnsafeBytes { buffer -> Int in
            let done =
                memoryDescriptor < 0
                ? -1 : pwrite(memoryDescriptor, buffer.baseAddress, buffer.count, off_t(truncatingIfNeeded: address))
            return done > 0 ? done : copyToGuest(buffer.baseAddress!, count: buffer.count, at: address) ? buffer.count : 0
        }
        process.invalidateCode(range)
        return done == bytes.count
    }

    package func insert(_ point: DebugPoint) -> DebugPointResult { change(point, inserting: true) }
    package func remove(_ point: DebugPoint) -> DebugPointResult { change(point, inserting: false) }

    // MARK: Objects

    package func object(_ object: TransferObject, annex: String, thread: DebugThreadID?) -> [UInt8]? {
        switch object {
        case .auxiliaryVector: process.guestBytes(process.auxiliaryVectorBytes)
        case .executable: Array(process.programPath.utf8)
        case .signalInformation: stoppedEntries.first { $0.id == thread }?.signalInformation?.bytes
        case .libraries, .memoryMap: nil
        }
    }

    package func setObject(_ object: TransferObject, to bytes: [UInt8], at offset: Int, thread: DebugThreadID?) -> Bool {
        guard object == .signalInformation, let entry = stoppedEntries.first(where: { $0.id == thread }),
            var whole = entry.signalInformation?.bytes, offset <= whole.count, bytes.count <= whole.count - offset
        else { return false }
        whole.replaceSubrange(offset ..< offset + bytes.count, with: bytes)
        entry.signalInformation?.bytes = whole
        return true
    }

    package func hostPath(ofFile path: String) -> String? { process.paths.hostPath(of: path) ?? path }

    // MARK: Signals

    package func pass(_ signals: Set<GDBSignal>) {
        observe(
            passing: signals.compactMap(\.linux).filter { (1 ... Int32(SignalTable.count)).contains($0) }.reduce(0) {
                $0 | SignalTable.bit($1)
            })
    }

    package func kill() { Glibc.kill(getpid(), SIGKILL) }

    // MARK: Commands

    package func monitor(_ command: String) -> String? {
        switch command {
        case "help":
            return
                "maps: the program's mappings\nstats: what the engine did so far\nauxv: the auxiliary vector, one word a line\n"
        case "maps": return process.mappingsText()
        case "auxv":
            let bytes = process.guestBytes(process.auxiliaryVectorBytes)
            return bytes.withUnsafeBytes { $0.bindMemory(to: UInt64.self).map { "0x" + String($0, radix: 16) + "\n" }.joined() }
        case "stats":
            let counts = process.engine.statistics
            return
                "\(counts.translations) translations of \(counts.guestInstructionsTranslated) instructions, \(counts.hostBytes) "
                    + "bytes; "
                + "\(counts.invalidations) invalidations; \(counts.interpretedInstructions) instructions interpreted\n"
        default: return nil
        }
    }
}

extension AddressSpace {
    /// How many bytes from `address` on, up to `limit`, lie in the guest's mappings without a gap.
    func mappedByteCount(at address: UInt64, limit: Int) -> Int {
        lock.locked {
            guard limit > 0, address < Self.limit else { return 0 }
            let end = min(address + UInt64(limit), Self.limit)
            var reached = address
            while reached < end, let region = list.region(at: reached) { reached = region.end }
            return Int(min(reached, end) - address)
        }
    }
}
