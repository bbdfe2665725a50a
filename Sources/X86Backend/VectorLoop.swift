// Emitting a loop of vectors in front of the scalar code of the same superblock.
//
// While it runs, a fault comes to a landing of its own instead of the common exit: every register is still in its place there, so
// that it only has to make the guest's registers what they were at the start of the group, and the scalar code executes the
// iterations again, one by one, up to the one that faults. Floating-point flags that the group raised before a store faulted are
// taken back: a store can fault only where a page begins, and the flags are saved there.

import CHost
import IR
import X86

extension Translator {
    /// The counting register at entry; the same, and the flags, where the group in progress began to store into a page.
    private static let entryMark = RegisterMap.header(\.helper_scratch).advanced(by: 8)
    private static let pageMark = RegisterMap.header(\.helper_scratch).advanced(by: 16)
    private static let savedFlags = RegisterMap.header(\.helper_scratch).advanced(by: 24)

    /// Labels of one loop.
    private struct Places {
        var top: Label
        /// Out to the scalar code behind whole groups; in the middle of one; the same without any group done.
        var leave: Label
        var retreat: Label
        var scalar: Label
        var landing: Label
        var exit: Label
        /// Machine mode, for each access: where its page is another one, and where to go on then.
        var otherPages: [(label: Label, back: Label)] = []
    }

    /// Emits the loop if it can be; falls through to the scalar code, `scalar`.
    func emitVectorLoop(_ function: Function, of scalar: Function) {
        guard features.contains(.avx), let plan = VectorLoopPlan(function, self) else { return }
        let accesses = softBuffer == nil ? [] : VectorEmitter.accesses(plan)
        guard accesses.count <= VectorEmitter.mostAccesses else { return }
        vectorLoopCount += 1
        pending = PendingFloats()
        deferredSlots = 0
        positions.append(GuestPosition(codeOffset: UInt32(truncatingIfNeeded: asm.offset), address: function.entry))
        var places = Places(
            top: asm.makeLabel(), leave: asm.makeLabel(), retreat: asm.makeLabel(), scalar: asm.makeLabel(), landing: asm.makeLabel(),
            exit: asm.makeLabel())
        places.otherPages = accesses.map { _ in (asm.makeLabel(), asm.makeLabel()) }
        if plan.readsAhead {
            // What is searched for comes soon, mostly: the scalar code goes first, and comes here when its iterations did not find it.
            asm.jmp(places.scalar)
            let again = asm.makeLabel()
            asm.bind(again)
            backwardEntry = again
            emitCount(makeCounter(.superblock))
        }
        var emitter = VectorEmitter(plan: plan, translator: self, accesses: accesses)
        for index in plan.again + plan.once { emitter.emitCheck(index, to: places.scalar) }
        for index in plan.unboxed { emitter.emitBoxCheck(index, to: places.scalar) }
        emitPrologue(&emitter, places)
        asm.bind(places.top)
        emitter.settled = [:]
        emitBody(&emitter, places)
        emitBottom(&emitter, places, VectorLoopCounting(plan, scalar))
        emitLanding(&emitter, places)
        asm.bind(places.leave)
        emitter.emitLanes()
        emitEpilogue(plan)
        asm.bind(places.scalar)
    }

    private func emitPrologue(_ emitter: inout VectorEmitter, _ places: Places) {
        for vector in emitter.plan.borrowed { asm.movs(.double, RegisterMap.saved(vector), vector) }
        let counter = counter(emitter.plan)
        asm.mov(.quad, Translator.entryMark, counter)
        if emitter.plan.raisesFlags { saveFlags(counter) }
        asm.lea(.quad, .rdi, .label(places.landing))
        asm.mov(.quad, RegisterMap.header(\.fault_exit), .rdi)
        emitter.emitConstants()
        if let softBuffer {
            for number in emitter.accesses.indices { emitter.emitLookUp(number, softBuffer, miss: places.retreat) }
        }
    }

    private func counter(_ plan: VectorLoopPlan) -> Register { Register(rawValue: homes[plan.counter]).unsafelyUnwrapped }

    private func saveFlags(_ counter: Register) {
        asm.stmxcsr(Translator.savedFlags)
        asm.mov(.quad, Translator.pageMark, counter)
    }

    private func emitBody(_ emitter: inout VectorEmitter, _ places: Places) {
        let plan = emitter.plan
        if softBuffer != nil {
            for (number, place) in places.otherPages.enumerated() {
                emitter.emitPageComparison(number, other: place.label)
                asm.bind(place.back)
            }
        } else if plan.raisesFlags {
            for index in plan.storeIndices { emitPageCheck(&emitter, index) }
        }
        if plan.readsAhead {
            for index in plan.body where plan.function.instructions[index].opcode == .load { emitter.emitPageCheck(index, to: places.retreat) }
        }
        for index in plan.body {
            let i = plan.function.instructions[index]
            switch i.opcode {
            case .exitIf where plan[i.a].opcode == .anyBit: emitter.emitBitCheck(index, to: places.retreat)
            case .exitIf: emitter.emitNaNCheck(index, to: places.retreat)
            default: emitter.emit(index)
            }
        }
        var carried: Set<UInt8> = []
        for write in plan.laneWrites where carried.insert(write.carry.rawValue).inserted { emitter.carry(write) }
    }

    /// Saves the flags when a store of the group comes into another page than the one before it.
    private func emitPageCheck(_ emitter: inout VectorEmitter, _ index: Int) {
        let i = emitter.plan.function.instructions[index], bytes = Int32(i.access.bytes * i.type.laneCount)
        asm.lea(.quad, .rdi, emitter.memory(i).advanced(by: bytes - 1))
        asm.test(.long, .rdi, imm: 4095 & ~(bytes - 1))
        let stub = asm.makeLabel(), back = asm.makeLabel()
        coldStubs.append(ColdStub(kind: .saveFlags, label: stub, back: back, register: counter(emitter.plan).rawValue))
        asm.jcc(.e, stub)
        asm.bind(back)
    }

    func emitSaveFlags(_ stub: ColdStub) {
        saveFlags(Register(rawValue: stub.register).unsafelyUnwrapped)
        asm.jmp(stub.back.unsafelyUnwrapped)
    }

    private func emitBottom(_ emitter: inout VectorEmitter, _ places: Places, _ counted: VectorLoopCounting) {
        let plan = emitter.plan
        emitCount(makeCounter(.vectors, instructions: counted.groupInstructions))
        if plan.leaves && !plan.exitsBehindWrites { emitter.emitCheck(plan.exit, to: places.exit) }
        emitter.emitWrites()
        if plan.leaves && plan.exitsBehindWrites { emitter.emitCheck(plan.exit, to: places.exit) }
        emitter.settled = [:]
        asm.cmp(.long, RegisterMap.header(\.interrupt_pending), imm: 0)
        asm.jcc(.ne, places.leave)
        for index in plan.again.dropLast() { emitter.emitCheck(index, to: places.leave) }
        if let last = plan.again.last {
            emitter.emitCheck(last, to: places.top, unless: true)
            asm.jmp(places.leave)
        } else {
            asm.jmp(places.top)
        }
        if let softBuffer {
            for (number, place) in places.otherPages.enumerated() {
                asm.bind(place.label)
                emitter.emitLookUp(number, softBuffer, miss: places.retreat)
                asm.jmp(place.back)
            }
        }
        if plan.leaves { emitExit(&emitter, places, counted) }
    }

    private func emitExit(_ emitter: inout VectorEmitter, _ places: Places, _ counted: VectorLoopCounting) {
        let plan = emitter.plan
        asm.bind(places.exit)
        if !plan.exitsBehindWrites { emitter.emitWrites() }
        emitter.emitLanes()
        emitEpilogue(plan)
        let target = UInt64(bitPattern: plan.function.instructions[plan.exit].immediate)
        // What the group counted includes all behind the exit of its last iteration.
        let behind = counted.exitInstructions - counted.iterationInstructions
        if let label = inside(target) {
            emitCount(makeCounter(.transfer, target, address: counted.exitAddress, instructions: behind))
            return asm.jmp(label)
        }
        emitRestoration()
        emitFrames(to: target)
        let link = makeLink(target, .jump)
        emitCount(makeCounter(.transfer, target, link: link, address: counted.exitAddress, instructions: behind))
        let stub = cold(.exit, payload: link)
        links[link].field = asm.executableAddress(atOffset: asm.patchableJump(stub))
    }

    /// Where faults come to.
    private func emitLanding(_ emitter: inout VectorEmitter, _ places: Places) {
        let plan = emitter.plan, counter = counter(plan)
        asm.bind(places.landing)
        if plan.raisesFlags {
            asm.cmp(.quad, counter, Translator.pageMark)
            asm.jcc(.ne, places.retreat)
            asm.ldmxcsr(Translator.savedFlags)
        }
        asm.bind(places.retreat)
        asm.cmp(.quad, counter, Translator.entryMark)
        asm.jcc(.ne, places.leave)
        asm.vzeroupper()
        emitEpilogue(plan)
        asm.jmp(places.scalar)
    }

    private func emitEpilogue(_ plan: VectorLoopPlan) {
        for vector in plan.borrowed { asm.movs(.double, vector, RegisterMap.saved(vector)) }
        asm.lea(.quad, .rdi, asm.memory(at: stubs.faultExit))
        asm.mov(.quad, RegisterMap.header(\.fault_exit), .rdi)
    }
}

/// How much of the guest's code a loop of vectors executes, for `Translator+Counting`.
private struct VectorLoopCounting {
    /// Guest instructions in an iteration, and those of it up to the exit.
    private(set) var iterationInstructions = 0
    private(set) var exitInstructions = 0
    private(set) var exitAddress: UInt64
    private let lanes: Int
    var groupInstructions: Int { iterationInstructions * lanes }

    /// - Parameter scalar: the loop, of which several iterations may lie one behind the other.
    init(_ plan: VectorLoopPlan, _ scalar: Function) {
        lanes = plan.function.groupIterations > 0 ? plan.function.groupIterations : plan.body.reduce(1) { max($0, plan.function.instructions[$1].type.laneCount) }
        exitAddress = scalar.entry
        var address = scalar.entry
        for index in 0 ..< scalar.count {
            let i = scalar.instructions[index]
            if i.opcode == .boundary {
                address = UInt64(bitPattern: i.immediate)
                if iterationInstructions > 0 && address == scalar.entry { break }
                iterationInstructions += 1
            } else if i.opcode == .exitIf {
                exitAddress = address
                exitInstructions = iterationInstructions
            }
        }
    }
}
