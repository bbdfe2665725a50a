// The interpreter of a hart in machine mode: the loop of user mode over the look-aside buffer, and blocks that know which page
// of memory they were decoded from.
//
// A block is found by virtual address and by where that lies in host memory, so that it outlives changes of address space. It
// is valid while its page has the version that it was decoded from.

import CHost
import Guest

/// In front of each block.
struct MachineBlock {
    /// Host address of the page that the block starts in.
    var host: UInt64
    var page: UnsafeMutablePointer<UInt32>
    var version: UInt32
    var floatIsIllegal: UInt32
    /// The same of the page in which its only instruction ends; 0 for none.
    var secondHost: UInt64
    var secondPage: UnsafeMutablePointer<UInt32>
    var secondVersion: UInt32
    var reserved: UInt32 = 0

    static let byteCount = 48

    @inline(__always)
    static func of(_ block: UnsafeMutablePointer<InterpreterBlock>) -> UnsafeMutablePointer<MachineBlock> {
        // SAFETY: `MachineInterpreter` makes its blocks with `byteCount` bytes in front.
        (UnsafeMutableRawPointer(block) - byteCount).assumingMemoryBound(to: MachineBlock.self)
    }

    /// Whether the buffer says that the block is at `address` and may be executed, and its code has not changed.
    @inline(__always)
    func isCurrent(_ address: UInt64, _ state: UnsafeMutableRawPointer) -> Bool {
        let tlb = RISCVState(state).hart.pointee.codeTLB
        let start = address & SoftTLB.pageMask, entry = SoftTLB.entry(tlb, address)
        guard entry.pointee.executeTag == start, entry.pointee.host == host, page.pointee & ~3 == version else { return false }
        if secondHost == 0 { return true }
        let end = start &+ SoftTLB.pageBytes, second = SoftTLB.entry(tlb, end)
        return second.pointee.executeTag == end && second.pointee.host == secondHost && secondPage.pointee & ~3 == secondVersion
    }
}

package final class MachineInterpreter: GuestInterpreter {
    private var blocks: InterpreterBlocks
    private var steps: InterpreterBlocks
    // SAFETY: as in `RISCVInterpreter`.
    private let context: UnsafeMutablePointer<InterpreterContext>
    private var source: HartCodeSource?

    package init() {
        precondition(MemoryLayout<MachineBlock>.size == MachineBlock.byteCount)
        blocks = InterpreterBlocks(
            tableSize: 1 << 16, arenaByteCount: 32 << 20, recordLimit: Self.recordLimit, prefixByteCount: MachineBlock.byteCount)
        steps = InterpreterBlocks(
            tableSize: 1 << 10, arenaByteCount: 1 << 18, recordLimit: 1, prefixByteCount: MachineBlock.byteCount)
        context = .allocate(capacity: 1)
        context.initialize(to: InterpreterContext(heat: blocks.heat))
    }

    deinit {
        blocks.deallocate()
        steps.deallocate()
        context.deallocate()
    }

    package var heatLimit: Int32 {
        get { context.pointee.heatLimit }
        set { context.pointee.heatLimit = newValue }
    }

    /// Then blocks are only executed while there are enough instructions for each, and the rest one by one.
    package var isExact = false {
        didSet { context.pointee.reserve = isExact ? Self.recordLimit : 0 }
    }
    private static let recordLimit = 64

    package var instructionsExecuted: UInt64 { context.pointee.executed }

    package func run(state: UnsafeMutableRawPointer, budget: Int) -> InterpreterExit {
        guard isExact else { return runBlocks(state, budget) }
        if budget > Self.recordLimit {
            let hart = RISCVHart.of(state)
            hart.leavesDevices = true
            let exit = runBlocks(state, budget)
            hart.leavesDevices = false
            guard exit == .trap, hart.hasLeftDevice else { return exit }
            // An access to a device is executed by itself: what it does to time and interrupts is seen at once.
            hart.hasLeftDevice = false
            return step(state: state)
        }
        for _ in 0 ..< budget {
            let exit = step(state: state)
            if exit != .budget || mynah_cpu_of(state).pointee.interrupt_pending != 0 { return exit }
        }
        return .budget
    }

    private func runBlocks(_ state: UnsafeMutableRawPointer, _ budget: Int) -> InterpreterExit {
        let source = source(for: state)
        context.pointee.budget = budget
        var previous: UnsafeMutablePointer<InterpreterBlock>?
        while true {
            let pc = RISCVState(state).programCounter
            let resets = blocks.resetCount
            guard let block = MachineInterpreter.block(pc, in: &blocks, source) else { return .trap }
            if resets != blocks.resetCount { previous = nil }
            if let previous {
                RISCVInterpreter.link(previous, to: block, slot: context.pointee.missSlot)
                if RISCVInterpreter.isHot(block, context) { return .hot }
            }
            let status = MachineInterpreter.execute(context, block, state)
            previous = nil
            if status == InterpreterStatus.miss {
                previous = context.pointee.missBlock
            } else if status != InterpreterStatus.again {
                return RISCVInterpreter.exit(status)
            }
        }
    }

    /// Forgets what was decoded: a debugger stops at other places now. While the hart does not run.
    package func forgetCode() {
        blocks.reset()
        steps.reset()
    }

    package func step(state: UnsafeMutableRawPointer) -> InterpreterExit {
        let source = source(for: state)
        let passesBreakpoint = source.hart.passesBreakpoint && source.hart.breakpoints?.isEmpty == false
        // Decoded with the trap, or without it.
        if passesBreakpoint { steps.reset() }
        defer { if passesBreakpoint { steps.reset() } }
        while true {
            context.pointee.budget = 0
            guard let block = MachineInterpreter.block(RISCVState(state).programCounter, in: &steps, source) else { return .trap }
            let status = MachineInterpreter.execute(context, block, state)
            if status != InterpreterStatus.again { return RISCVInterpreter.exit(status) }
        }
    }

    /// The loop of machine mode.
    @inline(never)
    private static func execute(
        _ context: UnsafeMutablePointer<InterpreterContext>, _ first: UnsafeMutablePointer<InterpreterBlock>,
        _ state: UnsafeMutableRawPointer
    ) -> UInt32 { RISCVInterpreter.executeBlocks(SoftMemory.self, context, first, state) }

    private func source(for state: UnsafeMutableRawPointer) -> HartCodeSource {
        if let source { return source }
        let hart = RISCVHart.of(state)
        // SAFETY: the interpreter lives as long as the virtual CPU whose state block the hart is attached to.
        hart.executed = UnsafeMutableRawPointer(context).advanced(by: MemoryLayout<InterpreterContext>.offset(of: \.executed)!)
            .assumingMemoryBound(to: UInt64.self)
        let made = HartCodeSource(hart)
        source = made
        return made
    }

    /// The block at an address, decoded now if need be; nil raises the exception of fetching it in the hart.
    private static func block(
        _ pc: UInt64, in blocks: inout InterpreterBlocks, _ source: HartCodeSource
    ) -> UnsafeMutablePointer<InterpreterBlock>? {
        let hart = source.hart
        guard let host = hart.codeHost(pc) else { return nil }
        let floatIsIllegal: UInt32 = RISCVState(hart.state).hart.pointee.floatIsDirty == 0 ? 1 : 0
        let salt = host >> 12
        if let found = blocks.slot(pc, salt).pointee, found.pointee.address == pc {
            let origin = MachineBlock.of(found)
            if origin.pointee.host == host, origin.pointee.floatIsIllegal == floatIsIllegal {
                // The second page may have to be looked up first.
                if origin.pointee.secondHost != 0, hart.codePage(pc &+ 2) == nil { return nil }
                if origin.pointee.isCurrent(pc, hart.state) { return found }
            }
        }
        guard let first = hart.codePage(pc) else { return nil }
        source.start()
        let options = BlockOptions(isPrivileged: true, floatIsIllegal: floatIsIllegal != 0, salt: salt)
        guard let block = blocks.make(pc, source: source, options: options) else {
            return nil
        }
        let origin = MachineBlock.of(block)
        let isAcrossPages =
            block.pointee.count == 1 && pc & 4095 == 4094 && RISCVInterpreter.firstRecord(block).pointee.byteCount == 4
        let second = isAcrossPages ? source.secondPage(behind: pc) : nil
        origin.initialize(
            to: MachineBlock(
                host: first.host, page: first.page, version: source.firstVersion, floatIsIllegal: floatIsIllegal,
                secondHost: second?.host ?? 0, secondPage: second?.page ?? first.page, secondVersion: second?.version ?? 0))
        return block
    }
}

/// A page of code as a hart sees it.
struct CodePage {
    /// Host address of the page.
    var host: UInt64
    var page: UnsafeMutablePointer<UInt32>
    var physical: UInt64
}

extension RISCVHart {
    /// The host address of the page from which the instruction at `address` is fetched; nil raises the exception in the hart.
    @inline(__always)
    func codeHost(_ address: UInt64) -> UInt64? {
        let entry = SoftTLB.entry(RISCVState(state).hart.pointee.codeTLB, address)
        return entry.pointee.executeTag == address & SoftTLB.pageMask ? entry.pointee.host : fetchCode(address)
    }

    private func fetchCode(_ address: UInt64) -> UInt64? {
        switch resolve(address, 2, .execute) {
        case .ram(let place): return place & SoftTLB.pageMask
        case .device:
            // Nothing can be executed from devices.
            trapCause = TrapCause.instructionAccessFault
            trapValue = address
            return nil
        case .fault: return nil
        }
    }

    /// The same with the page's word.
    func codePage(_ address: UInt64) -> CodePage? {
        guard let host = codeHost(address), let ram = memory.ram(host: host) else { return nil }
        let offset = host &- UInt64(UInt(bitPattern: ram.pointee.host))
        return CodePage(host: host, page: ram.pointee.pages + Int(offset >> 12), physical: ram.pointee.address &+ offset)
    }

    /// The encoding of the instruction at an address, where it can be fetched.
    package func encoding(at address: UInt64) -> UInt64? {
        let cause = trapCause, value = trapValue
        defer {
            trapCause = cause
            trapValue = value
        }
        guard let first = codePage(address) else { return nil }
        let low = mynah_load_word(first.host &+ address & 4095, 2)
        if low & 3 != 3 { return low }
        guard let second = codePage(address &+ 2) else { return nil }
        return low | mynah_load_word(second.host &+ (address &+ 2) & 4095, 2) << 16
    }
}

/// Where a hart's instructions are fetched from: page by page.
final class HartCodeSource: CodeSource {
    let hart: RISCVHart
    private(set) var firstVersion: UInt32 = 0
    private var pages: [(start: UInt64, code: CodePage, version: UInt32)] = []

    init(_ hart: RISCVHart) { self.hart = hart }

    /// Before a block is decoded.
    func start() { pages.removeAll(keepingCapacity: true) }

    /// The page behind the first, when the block took some of it.
    func secondPage(behind pc: UInt64) -> (host: UInt64, page: UnsafeMutablePointer<UInt32>, version: UInt32)? {
        let start = (pc & SoftTLB.pageMask) &+ SoftTLB.pageBytes
        guard let found = pages.first(where: { $0.start == start }) else { return nil }
        return (found.code.host, found.code.page, found.version)
    }

    func codeWindow(at address: GuestAddress) -> CodeWindow? {
        let start = address.rawValue & SoftTLB.pageMask
        guard let code = hart.codePage(address.rawValue) else { return nil }
        // Noted before anything is read: a write from now on gives the page another version.
        hart.memory.noteCode(code.physical, code.page)
        let version = MachineMemory.version(code.page)
        if pages.isEmpty { firstVersion = version }
        pages.append((start, code, version))
        guard let host = UnsafeRawPointer(bitPattern: UInt(code.host)) else { return nil }
        return CodeWindow(start: start, end: start &+ SoftTLB.pageBytes, host: host, stops: hart.stops(inPage: start))
    }

    var codeVersion: UInt64 { 0 }
    func watchCode(_ range: Range<UInt64>) {}
}

extension RISCVHart {
    /// The page of code at an address; its later writes are noticed. Nil raises the exception in the hart.
    package func codeWindow(at address: UInt64) -> CodeWindow? {
        let start = address & SoftTLB.pageMask
        guard let code = codePage(address), let host = UnsafeRawPointer(bitPattern: UInt(code.host)) else { return nil }
        memory.noteCode(code.physical, code.page)
        return CodeWindow(start: start, end: start &+ SoftTLB.pageBytes, host: host, stops: stops(inPage: start))
    }

    func stops(inPage page: UInt64) -> UnsafePointer<UInt64>? { passesBreakpoint ? nil : breakpoints?.stops(inPage: page) }

    // MARK: For translated code

    /// Whether the buffer serves the access now.
    func fill(_ address: UInt64, _ byteCount: UInt64, _ access: MemoryAccess) -> Bool {
        if watched?.isInPage(of: address) == true { return false }
        // Atomic accesses come here for being misaligned, too: for these the buffer need not have missed.
        let entry = SoftTLB.entry(RISCVState(state).hart.pointee.dataTLB, address)
        let before = address &- (access == .read ? entry.pointee.readTag : entry.pointee.writeTag)
        guard address & 4095 <= SoftTLB.pageBytes - byteCount, before > SoftTLB.pageBytes - byteCount else { return false }
        guard case .ram = resolve(address, byteCount, access) else { return false }
        let after = address &- (access == .read ? entry.pointee.readTag : entry.pointee.writeTag)
        return after <= SoftTLB.pageBytes - byteCount
    }

    func lookUpCode(_ address: UInt64) -> CodePageLookup {
        guard let host = codeHost(address) else { return .fault }
        let entry = SoftTLB.entry(RISCVState(state).hart.pointee.codeTLB, address)
        return entry.pointee.executeTag == address & SoftTLB.pageMask ? .page(host) : .uncached
    }

    func admitCode(_ address: UInt64, _ number: UInt32) {
        let index = codeContext.rawValue * SoftTLB.entryCount + Int(truncatingIfNeeded: address >> 12 & SoftTLB.indexMask)
        let state = RISCVState(state)
        codePages.admit(
            address, number, in: state.hart.pointee.codePages, size: max(12, superpages[index]),
            roundingMode: state.tail.pointee.fcsrRoundingMode)
    }

    /// A double word at a virtual address with the rights of the present mode; nil when it cannot be read.
    package func readDoubleWord(_ address: UInt64) -> UInt64? {
        let cause = trapCause, value = trapValue
        defer {
            trapCause = cause
            trapValue = value
        }
        return load(address, 8)
    }
}
