// From optimised IR to x86-64 code: the pass over superblocks that lowers, allocates and emits. One superblock is a block
// translation; several that transfer to each other are a region, in which they share homes and jump to each other directly.
//
// Lowering by kind is in Lower*.swift; this file has the driver, the value bookkeeping and the registers.

import Host
import IR
import X86

/// Code that is emitted behind the main path.
struct ColdStub {
    enum Kind {
        /// Goes on at `back`, inside of the region.
        case go
        /// Leaves through link `payload`.
        case exit
        /// Puts displaced homes back and makes the calls that the superblock is in, then leaves through link `payload`.
        case restoreAndExit
        /// Puts displaced homes back, then leaves through link `payload`, which stays unlinked: an interrupt, or a sample.
        case interrupt
        /// A return to `register` came to another place than behind the call that the region follows.
        case returnElsewhere
        /// An indirect jump to `register` leaves for an interrupt.
        case jumpAway
        /// Poll for interrupts, then leave through link `payload`.
        case pollAndExit
        /// Poll for interrupts, then go on at `back`; leaves through link `payload` for an interrupt.
        case pollAndGo
        /// A return to rax came to another place; counts it.
        case returnMiss
        /// vector = canonical NaN; back.
        case canonicalNaN(FloatWidth)
        /// Finishes a fused operation whose result is a NaN; back.
        case fusedNaN(FloatWidth)
        /// Saturates a float-to-integer conversion that overflowed; back.
        case saturate(FloatWidth, Width)
        /// Saves floating-point flags for the case of a fault, and where a loop of vectors is, by `register`; back.
        case saveFlags
        /// The inline cache `payload` missed its target: through the hash look-up; a call then comes back to `back`.
        case lookup
        /// The same of a jump, which counts down to the next sample: at `back`.
        case sampledLookup
        /// The inline cache `payload` has no target yet, or where it is leading to is to be known.
        case fillCache
        /// The look-up of the address in `register`, with the entry in `register2`, missed; back. 1 for a write, and twice the size.
        case softMiss(Int)
        /// The same of several accesses at once; leaves at the label when the buffer cannot be filled for all of them.
        case softGroupMiss(Int, Label)
        /// The slot of ranges at this offset does not have the address in `register`; back. Flags as for `softMiss`.
        case rangeMiss(RangeMiss)
        /// Puts displaced homes back, then leaves through link `payload` for the same code without groups of accesses.
        case split
        /// The superblock has more instructions than may be executed still: takes them off again, and leaves at its start.
        case budget(UInt64)
        /// The processor does not see the page of this guest address as the translation does.
        case pageMiss(UInt64)

        var isLookup: Bool {
            switch self {
            case .lookup, .sampledLookup: true
            default: false
            }
        }

        /// It comes from a place where the state may have to be settled.
        var leavesSuperblock: Bool {
            switch self {
            case .go, .exit, .restoreAndExit, .interrupt, .pollAndGo, .pollAndExit, .split: true
            default: false
            }
        }
    }
    var kind: Kind
    var label: Label
    var back: Label?
    var payload: Int = 0
    var register: UInt8 = 0
    var register2: UInt8 = 0
    var register3: UInt8 = 0
    var temporary: UInt8 = 0
    /// Settled before the rest, by those that leave the superblock.
    var pending = PendingFloats()
    /// What of it need not be settled where this goes to.
    var accepted = PendingFloats()
    var deferred = 0 ..< 0
    /// Guest instructions that were counted and are not executed.
    var undone: Int32 = 0
    /// Counts how often it is run; see `Translator+Counting`.
    var counter: Int32?
    /// Position in `entries` of the superblock that it belongs to, of those that leave it.
    var block = 0
}

package final class Translator {
    let map: RegisterMap
    /// What homes hold in translations that chose none of their own.
    package var usualHomes: [Home] { map.homes }
    /// The home register of each slot in this translation: those of `map`, but for `displaced` ones.
    var homes: [UInt8]
    var displaced: [DisplacedHome] = []
    let stubs: CodeStubs
    let features: CPUFeatures
    let columns = OpcodeColumns()
    var asm = Assembler()
    var function: Function
    // SAFETY: `values` has at least `function.count` elements from `prepare` on, and one at -1 (see `Value.place`); indexed by
    // value indices, which are below count.
    var values: UnsafeMutablePointer<ValueState>
    private var valueCapacity = 4096
    /// Value whose content a slot has, or -1.
    var slotHolder: [Int32]
    /// Value in each scratch register, or -1, indexed by register number.
    var registerOwner = [Int32](repeating: -1, count: 16)
    var vectorOwner = [Int32](repeating: -1, count: 16)
    /// The halves of the last AES state, and the vector register that still has both.
    var cipherState: CipherState?
    /// Homes that are used as scratch registers, a bit each by register number: see `Translator+LentHomes`.
    var lentRegisters: UInt32 = 0
    /// Slots whose homes were lent while they held what may be seen, a bit each: it is in the slots.
    var storedSlots: UInt64 = 0
    /// Homes are lent in block translations, too: they do not run for long, and have little room between their ways out.
    package var lendsHomesOfBlocks = false
    /// Bit masks of registers that the current instruction must keep.
    var locked: UInt32 = 0
    var lockedVectors: UInt32 = 0
    var freeSpills: UInt64 = ~0
    var coldStubs: [ColdStub] = []
    var links: [LinkSite] = []
    var caches: [InlineCache] = []
    var positions: [GuestPosition] = []
    /// What in the code depends on where it and the guest's code are; noted when `recordsRelocations`, with `asm`'s external references.
    var relocations: [Relocation] = []
    package var recordsRelocations = false
    /// A target would be another one if the guest's code were elsewhere, and nothing says so.
    var isTied = false
    /// Index of the instruction being emitted.
    var current = 0
    /// Guest addresses at which the superblocks of the region start, in the order of the code, and where they do.
    var entries: [UInt64] = []
    var entryLabels: [Label] = []
    /// For each of them, the calls that it is in: a number of `frames`.
    var entryFrames: [Int] = []
    /// Calls that the region follows, by the addresses they return to, outermost first. The first are none.
    var frames: [[UInt64]] = [[]]
    /// For each superblock where its indirect jump was seen to go, the likeliest first.
    var entryCases: [[UInt64]] = []
    var isRegion = false
    var vectorLoops: [Function?] = []
    var vectorLoopCount = 0
    /// Where the superblock that is emitted jumps back to, when that is not its start.
    var backwardEntry: Label?
    /// The next block translation stands in for another one once: what leads back to its start goes to that.
    package var leavesOnReturn = false
    /// Position in `entries` of what is emitted.
    var currentBlock = 0
    /// Writes may be left to those who look: see `DeferredWrite`.
    package var defersWrites = true
    /// How memory is reached in machine mode; nil where guest addresses are host addresses.
    package var softBuffer: SoftBuffer?
    /// Accesses look at slots of ranges first.
    package var looksAtRanges = false
    /// Slots by what pointers come from: see `Lower+SoftRanges`.
    var rangeSlots = RangeSlots()
    /// The number of the page of code that the next translation is of; 0 where there is none.
    package var codePage: UInt32 = 0
    /// The same of the page behind it, in which its only instruction ends.
    package var secondCodePage: UInt32 = 0
    /// Polls count down to samples, of which regions are made.
    package var isSampling = false
    /// Offset in the state of a word that counts how often the next block translation is entered, but for transfers backwards.
    package var executionsOffset: Int32?
    /// Superblocks count their instructions, and are not begun when fewer may be executed. The budget is exact at every exit.
    package var countsInstructions = false
    /// Guest instructions of the superblock.
    var instructionCount: Int32 = 0
    /// Where to count what the next translations do; nil for nowhere. What was counted in the last one is in `counterSites`.
    package var counting: CountingWords?
    package internal(set) var counterSites: [CounterSite] = []
    /// Offset of the code behind the last superblock: exits and slow paths. Of the last translation.
    package private(set) var coldOffset = 0
    /// Positions at which the superblocks of the last translation start, by superblock.
    package private(set) var firstPositions: [Int] = []
    /// Whether the first of these is a loop of vectors in front of the scalar code, by superblock.
    package private(set) var startsWithVectors: [Bool] = []
    /// The last jump to `CodeStubs.exit` of the cold code.
    var exitJump: Label?
    /// What the vector homes lack at the instruction being emitted.
    var pending = PendingFloats()
    /// Floats may stay pending from one superblock of a region to the next.
    package var carriesFloats = true
    /// By superblock of the region, what is pending where it starts; empty when nothing is.
    var regionFloats: [PendingFloats] = []
    /// How often each superblock is expected to run, in proportion.
    var weights: [Int] = []
    /// Homes, a bit each, that the superblock's last transfer lets be pending.
    var expectedPending: UInt16 = 0
    /// For each slot the `observation` that its next write came before, and that write; see `analyseWrite`.
    var overwrittenAt: [Int32]
    var overwrittenBy: [Int32]
    /// The next side exit that may be as likely as not, while going backwards.
    var takenBehind = Int32.max
    /// Slots whose last write is deferred, a bit each, and how the values written are made.
    var deferredSlots: UInt64 = 0
    var recipes: [DeferredRecipe]
    /// By slot, the first write behind what is analysed that is not deferred, going backwards.
    var eagerlyWritten: [Int32]
    /// The current instruction may fault, and what that finds deferred, once it has been noted.
    var looksDuringCurrent = false
    var seenDuringCurrent: Range<Int>?
    /// Deferred writes at the places of the translation where somebody may look, and what was noted last.
    var deferredWrites: [DeferredWrite] = []
    var lastDeferred = 0 ..< 0
    var lastDeferredSlots: UInt64 = 0
    var lastStoredSlots: UInt64 = 0
    var deferringCode: [DeferringCode] = []
    /// Counts the places where every slot must be exact.
    var observation: Int32 = 1
    /// Index in `positions` of the first guest instruction of the superblock.
    var blockPosition = 0
    /// A guest instruction of the superblock was at a lower address than the one before it.
    var followedBackwards = false
    var outOfSpills = false
    /// When set, events are appended for the checker.
    package var recordsEvents = false
    package var events: [AllocationEvent] = []

    package init(map: RegisterMap, stubs: CodeStubs, features: CPUFeatures) {
        self.map = map
        homes = map.home
        self.stubs = stubs
        self.features = features
        function = Function(capacity: 1)
        values = Translator.makeValues(valueCapacity)
        slotHolder = Array(repeating: -1, count: map.slots.count)
        overwrittenAt = Array(repeating: 0, count: map.slots.count)
        overwrittenBy = Array(repeating: -1, count: map.slots.count)
        recipes = Array(repeating: DeferredRecipe(), count: map.slots.count)
        eagerlyWritten = Array(repeating: .max, count: map.slots.count)
    }

    deinit {
        (values - 1).deallocate()
        asm.deallocate()
    }

    private static func makeValues(_ count: Int) -> UnsafeMutablePointer<ValueState> {
        let values = UnsafeMutablePointer<ValueState>.allocate(capacity: count + 1)
        values.initialize(repeating: ValueState(), count: count + 1)
        return values + 1
    }

    /// Number of the first link of the next translation in the engine's table: exit words carry the numbers.
    package var firstLink = 0
    /// The same for inline caches.
    package var firstCache = 0

    /// Emits `function`, which must be one block, at the start of the memory.
    /// - Returns: nil when the memory is too small (or spill slots ran out: then no memory is large enough).
    package func translate(
        _ function: Function, writable: UnsafeMutableRawPointer, executable: UInt64, capacity: Int
    ) -> Translation? {
        if isRegion || single.isEmpty {
            isRegion = false
            vectorLoops = []
            frames = [[]]
            entryFrames = [0]
            entryCases = [[]]
        }
        if single.first !== function { single = [function] }
        return emit(single, Translator.weightOfSingle, writable, executable, capacity)
    }

    /// The superblock of the last block translation, of which there are many in a row.
    private var single: [Function] = []
    private static let weightOfSingle = [1]

    /// Emits a region: superblocks that are entered at the first and transfer to each other.
    /// - Parameter weights: how often each is expected to run, in proportion.
    /// - Parameter vectors: for superblocks that are loops, the same as a loop of vectors, which is tried first.
    /// - Parameter calls: for each superblock the calls that it is in, by the addresses they return to, outermost first: calls,
    ///   and returns to those addresses, go to superblocks of the region then.
    /// - Parameter cases: for each superblock where its indirect jump was seen to go, the likeliest first.
    package func translate(
        _ functions: [Function], weights: [Int], vectors: [Function?] = [], calls: [[UInt64]] = [], cases: [[UInt64]] = [],
        writable: UnsafeMutableRawPointer, executable: UInt64, capacity: Int
    ) -> Translation? {
        isRegion = true
        vectorLoops = vectors
        frames = [[]]
        entryFrames = functions.indices.map { $0 < calls.count ? frameNumber(calls[$0]) : 0 }
        entryCases = functions.indices.map { $0 < cases.count ? cases[$0] : [] }
        return emit(functions, weights, writable, executable, capacity)
    }

    private func frameNumber(_ calls: [UInt64]) -> Int {
        if let known = frames.firstIndex(of: calls) { return known }
        frames.append(calls)
        return frames.count - 1
    }

    private static let cacheLine = 64

    private func emit(
        _ functions: [Function], _ weights: [Int], _ writable: UnsafeMutableRawPointer, _ executable: UInt64, _ capacity: Int
    ) -> Translation? {
        begin()
        asm.start(writable: writable, executable: executable, capacity: capacity)
        for function in functions {
            entries.append(function.entry)
            entryLabels.append(asm.makeLabel())
        }
        chooseHomes(functions, weights)
        if let softBuffer, codePage != 0 { emitPageCheck(codePage, at: functions[0].entry, softBuffer) }
        let innerEntry = asm.executableAddress
        if let softBuffer, secondCodePage != 0 {
            emitPageCheck(secondCodePage, at: functions[0].entry, softBuffer, pagesBehind: 1)
        }
        if let executionsOffset { asm.add(.long, RegisterMap.state(executionsOffset), imm: 1) }
        let loopEntry = asm.executableAddress
        emitDisplacement()
        chooseRegionFloats(functions, weights)
        for block in functions.indices {
            currentBlock = block
            // Where a loop starts inside of a cache line made it up to a tenth slower or faster.
            if isRegion, block == 0 || weights[block] > weights[block - 1] { asm.align(to: Translator.cacheLine) }
            asm.bind(entryLabels[block])
            firstPositions.append(positions.count)
            emitBudget(functions[block])
            emitCount(makeCounter(.superblock))
            let vectorLoopsBefore = vectorLoopCount
            backwardEntry = nil
            if block < vectorLoops.count, let vectors = vectorLoops[block] { emitVectorLoop(vectors, of: functions[block]) }
            let looked = looksAtRanges
            defer { looksAtRanges = looked }
            // Loops of vectors ask the look-aside buffer, which their scalar code has to fill.
            if vectorLoopCount > vectorLoopsBefore { looksAtRanges = false }
            startsWithVectors.append(vectorLoopCount > vectorLoopsBefore)
            emit(functions[block])
        }
        coldOffset = asm.offset
        emitColdStubs()
        guard asm.finish(), !outOfSpills else { return nil }
        let homes = displaced.isEmpty ? map.homes : RegisterMap.homes(homes, map.slots)
        return Translation(
            entry: executable, innerEntry: innerEntry, loopEntry: loopEntry, byteCount: asm.offset, links: links, caches: caches,
            positions: positions, vectorLoopCount: vectorLoopCount, homes: homes,
            hasUsualHomes: displaced.isEmpty, relocations: recordsRelocations ? allRelocations() : [], isTied: isTied,
            deferredWrites: deferredWrites, deferringCode: deferringCode)
    }

    /// Only loops are worth other homes than those on their edges.
    private func chooseHomes(_ functions: [Function], _ weights: [Int]) {
        if functions.count == 1, !loopsToItself(functions[0]) {
            homes = map.home
            displaced.removeAll(keepingCapacity: true)
            return
        }
        var uses = [Int](repeating: 0, count: map.slots.count), calls = 0
        for block in functions.indices {
            Translator.count(functions[block], weight: weights[block], into: &uses)
            if callsOut(functions[block], block) { calls += weights[block] }
        }
        chooseHomes(uses, calls: calls)
        for index in displaced.indices { displaced[index].isWritten = functions.contains { $0.writes(displaced[index].used) } }
    }

    private func loopsToItself(_ function: Function) -> Bool {
        let last = function.instructions[function.count - 1]
        return last.opcode == .exit && last.hint == .none && UInt64(bitPattern: last.immediate) == function.entry
    }

    private func emit(_ function: Function) {
        precondition(function.blocks.count == 1, "a superblock is one block")
        prepare(function)
        pending = pendingAtEntry(currentBlock)
        analyse()
        let instructions = function.instructions
        for index in 0 ..< function.count {
            current = index
            if values[index].isDeferred || values[index].isSunk { continue }
            if values[index].isComputed {
                release(instructions[index], index)
                continue
            }
            let opcode = instructions[index].opcode
            if opcode == .nop { continue }
            if lentRegisters != 0, needsHomes(instructions[index]) { returnHomes() }
            if columns.effects(of: opcode).contains(.faults) {
                let start = asm.offset
                record(.observe)
                looksDuringCurrent = true
                lower(instructions[index], index)
                if deferredSlots | storedSlots != 0 { noteDeferringCode(from: start) }
                looksDuringCurrent = false
                seenDuringCurrent = nil
            } else {
                lower(instructions[index], index)
            }
            locked = 0
            lockedVectors = 0
            release(instructions[index], index)
        }
    }

    private func begin() {
        outOfSpills = false
        vectorLoopCount = 0
        coldStubs.removeAll(keepingCapacity: true)
        links.removeAll(keepingCapacity: true)
        caches.removeAll(keepingCapacity: true)
        positions.removeAll(keepingCapacity: true)
        relocations.removeAll(keepingCapacity: true)
        isTied = false
        entries.removeAll(keepingCapacity: true)
        entryLabels.removeAll(keepingCapacity: true)
        events.removeAll(keepingCapacity: true)
        counterSites.removeAll(keepingCapacity: true)
        firstPositions.removeAll(keepingCapacity: true)
        startsWithVectors.removeAll(keepingCapacity: true)
        deferredWrites.removeAll(keepingCapacity: true)
        deferringCode.removeAll(keepingCapacity: true)
        rangeSlots.removeAll()
        lastDeferred = 0 ..< 0
        exitJump = nil
        lastDeferredSlots = 0
        lastStoredSlots = 0
    }

    private func prepare(_ function: Function) {
        self.function = function
        if function.count > valueCapacity {
            (values - 1).deallocate()
            valueCapacity = function.count * 2
            values = Translator.makeValues(valueCapacity)
        }
        (values - 1).initialize(repeating: ValueState(), count: function.count + 1)
        for index in slotHolder.indices { slotHolder[index] = -1 }
        cipherState = nil
        for index in 0 ..< 16 {
            registerOwner[index] = -1
            vectorOwner[index] = -1
        }
        freeSpills = ~0
        followedBackwards = false
        pending = PendingFloats()
        deferredSlots = 0
        lentRegisters = 0
        storedSlots = 0
        rangeSlots.beginSuperblock()
        blockPosition = positions.count
    }

    // MARK: Constants

    @inline(__always)
    func constant(_ value: Value) -> Int64? {
        let instruction = function.instructions[Int(value.index)]
        return instruction.opcode == .constant ? instruction.immediate : nil
    }

    /// Needs no register or memory to be had again.
    @inline(__always)
    func isImmediate(_ index: Int) -> Bool {
        let opcode = function.instructions[index].opcode
        return opcode == .constant || opcode == .guestAddress
    }

    /// A known guest address, whether the code may be moved or not.
    func guestAddress(_ value: Value) -> Int64? {
        isImmediate(Int(value.index)) ? function.instructions[Int(value.index)].immediate : nil
    }

    func isConstant(_ value: Value, _ number: Int64) -> Bool { constant(value) == number }

    /// A constant that fits a sign-extended 32-bit immediate.
    @inline(__always)
    func immediate(_ value: Value) -> Int32? {
        guard let number = constant(value) else { return nil }
        if function.instructions[Int(value.index)].type == .i32 { return Int32(truncatingIfNeeded: number) }
        return Int32(exactly: number)
    }

    // MARK: Releasing

    /// Frees what the instruction used last.
    @inline(__always)
    private func release(_ instruction: Instruction, _ index: Int) {
        releaseOperand(instruction.a, index)
        releaseOperand(instruction.b, index)
        releaseOperand(instruction.c, index)
        if values[index].lastUse == Int32(index) { free(index) }
    }

    @inline(__always)
    private func releaseOperand(_ value: Value, _ index: Int) {
        if value.isNone { return }
        let operand = Int(value.index)
        if values[operand].isDeferred || values[operand].isTested {
            let inner = function.instructions[operand]
            if inner.opcode.operandCount > 0 { releaseOperand(inner.a, index) }
            if inner.opcode.operandCount > 1 { releaseOperand(inner.b, index) }
            return
        }
        if values[operand].lastUse <= Int32(index) { free(operand) }
    }

    func free(_ index: Int) {
        let state = values[index]
        if state.register != ValueState.nowhere {
            if function.instructions[index].type.isFloat { vectorOwner[Int(state.register)] = -1 } else { registerOwner[Int(state.register)] = -1 }
            values[index].register = ValueState.nowhere
        }
        if state.spill >= 0 {
            freeSpills |= 1 << UInt64(state.spill)
            values[index].spill = -1
        }
    }

    @inline(__always)
    func record(_ event: @autoclosure () -> AllocationEvent) {
        if recordsEvents { events.append(event()) }
    }
}
