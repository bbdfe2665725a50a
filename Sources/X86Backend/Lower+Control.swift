// Leaving a translation: side exits, direct and indirect transfers, traps, the interpreter; and the cold code behind them.

import CHost
import IR
import X86

extension Translator {
    /// Guest address of the instruction being emitted.
    var currentAddress: UInt64 { positions.last?.address ?? function.entry }

    func makeLink(_ target: UInt64, _ kind: LinkKind) -> Int {
        let isChecked = softBuffer != nil && !SoftBuffer.areInOnePage(target, function.entry)
        links.append(LinkSite(field: 0, stub: 0, target: target, kind: kind, isChecked: isChecked))
        return links.count - 1
    }

    func cold(
        _ kind: ColdStub.Kind, payload: Int = 0, back: Label? = nil, _ first: UInt8 = 0, _ second: UInt8 = 0, undone: Int32 = 0,
        counter: Int32? = nil, accepted: PendingFloats = PendingFloats()
    ) -> Label {
        let label = asm.makeLabel()
        coldStubs.append(
            ColdStub(
                kind: kind, label: label, back: back, payload: payload, register: first, register2: second, pending: pending,
                accepted: accepted, deferred: kind.leavesSuperblock ? noteDeferred() : 0 ..< 0, undone: undone, counter: counter,
                block: currentBlock))
        return label
    }

    /// Everybody sees the state that the guest would: nothing is pending or deferred.
    private var isSettled: Bool { pending.isEmpty && deferredSlots | storedSlots == 0 }

    func makeCold(_ kind: ColdStub.Kind, back: Label, _ first: UInt8, _ second: UInt8 = 0) -> Label {
        cold(kind, back: back, first, second)
    }

    // MARK: Direct transfers

    /// Loops must notice interrupts: every jump backwards polls, and every transfer behind a jump backwards that the translation
    /// followed. Calls need not: a loop of calls alone overflows the return stack, which polls (`CodeStubs.callInterrupted`), and what
    /// comes back from a call goes on behind it.
    func polls(_ target: UInt64) -> Bool { followedBackwards || target <= currentAddress }

    /// Where the superblock of this region that starts at the address, in the same calls, does; nil for what is outside.
    func inside(_ target: UInt64) -> Label? {
        if leavesOnReturn { return nil }
        if let backwardEntry, target == entries[currentBlock] { return backwardEntry }
        return superblock(target, frame).map { entryLabels[$0] }
    }

    /// A poll, and the condition that says to come out. Where regions are made, it counts down to the next sample as well, but
    /// for transfers inside of a region.
    func poll(inside: Bool = false) -> X86.Condition {
        if isSampling && !(inside && isRegion) {
            asm.sub(.long, RegisterMap.header(\.ticks), imm: 1)
            return .s
        }
        asm.cmp(.long, RegisterMap.header(\.interrupt_pending), imm: 0)
        return .ne
    }

    func lowerExitIf(_ i: Instruction) {
        let target = UInt64(bitPattern: i.immediate), always = constant(i.a)
        if always == 0 { return }
        record(.observe)
        let undone = undone(behind: true)
        if always != nil {
            giveBack(undone)
            settle(pending)
            pending = PendingFloats()
            emitDeferredWrites(noteDeferred())
            // What comes behind is not reached, but translated.
            let deferred = deferredSlots
            deferredSlots = 0
            defer { deferredSlots = deferred }
            return jumpOut(to: target, isLast: false)
        }
        let comparison = asm.offset, known = referenceCount, condition = emitCondition(i.a)
        if let label = inside(target) {
            let polls = polls(target), counter = makeCounter(.transfer, target, polls: polls), accepted = accepted(at: target)
            if !polls, isSettled(for: target), counter == nil, undone == 0 {
                asm.jcc(condition, label)
            } else {
                let link = polls ? makeLink(target, .jump) : 0
                let kind: ColdStub.Kind = polls ? .pollAndGo : .go
                asm.jcc(condition, cold(kind, payload: link, back: label, undone: undone, counter: counter, accepted: accepted))
            }
        } else if polls(target) {
            let link = makeLink(target, .jump)
            asm.jcc(condition, cold(.pollAndExit, payload: link, undone: undone, counter: makeCounter(.transfer, target, link: link, polls: true)))
        } else if leavesThroughStub || !isSettled || counting != nil || undone != 0 {
            let link = makeLink(target, .jump)
            asm.jcc(condition, cold(.restoreAndExit, payload: link, undone: undone, counter: makeCounter(.transfer, target, link: link)))
        } else {
            let link = makeLink(target, .jump)
            let stub = cold(.exit, payload: link)
            // Aligned so that the displacement can be patched atomically.
            links[link].field = asm.executableAddress(
                atOffset: patchable(condition, stub, of: i.a, from: comparison, isPlain: referenceCount == known))
        }
    }

    /// A conditional jump behind the code that sets the flags, from offset `start` on. Code with floats may not be moved, nor may what has
    /// references in it: where they are has been noted.
    private func patchable(_ condition: X86.Condition, _ stub: Label, of value: Value, from start: Int, isPlain: Bool) -> Int {
        let isFloat = function.instructions[Int(value.index)].opcode == .floatCompare
        if isFloat || !isPlain { return asm.patchableConditionalJump(condition, stub) }
        return asm.patchableConditionalJump(condition, stub, behind: start)
    }

    /// - Parameter isLast: nothing of the superblock comes behind.
    private func jumpOut(to target: UInt64, isLast: Bool = true) {
        if let label = inside(target) { return jump(to: target, at: label, isLast) }
        settleHere()
        let link = makeLink(target, .jump)
        emitCount(makeCounter(.transfer, target, link: link, polls: polls(target)))
        let stub = cold(leavesThroughStub ? .restoreAndExit : .exit, payload: link)
        if polls(target) {
            links[link].isBackward = true
            asm.jcc(poll(), stub)
        }
        if leavesThroughStub {
            asm.jmp(stub)
        } else {
            links[link].field = asm.executableAddress(atOffset: asm.patchableJump(stub))
        }
    }

    /// Whoever leaves has something to do first.
    private var leavesThroughStub: Bool { !displaced.isEmpty || frame != 0 }

    /// A jump inside of the region, or nothing where the target follows.
    private func jump(to target: UInt64, at label: Label, _ isLast: Bool) {
        settleHere(but: accepted(at: target))
        emitCount(makeCounter(.transfer, target, polls: polls(target)))
        jump(to: target, at: label, polls: polls(target), follows: isLast && superblock(target, frame) == currentBlock + 1)
    }

    func jump(to target: UInt64, at label: Label, polls: Bool, follows: Bool) {
        if polls {
            let stub = cold(.interrupt, payload: makeLink(target, .jump))
            let condition = poll(inside: true)
            if follows { return asm.jcc(condition, stub) }
            asm.jcc(condition.inverted, label)
            asm.jmp(stub)
        } else if !follows {
            asm.jmp(label)
        }
    }

    func lowerExit(_ i: Instruction) {
        record(.observe)
        let target = UInt64(bitPattern: i.immediate)
        guard i.hint == .call, !i.b.isNone, let back = guestAddress(i.b) else { return jumpOut(to: target) }
        settleHere()
        if follow(callOf: target, back) { return }
        emitRestoration()
        let behind = behindCall(back)
        if behind == nil { emitFrames(to: target) }
        let link = makeLink(target, .call)
        emitCount(makeCounter(.call, target, link: link, polls: followedBackwards))
        let stub = cold(.exit, payload: link)
        if followedBackwards { asm.jcc(poll(), stub) }
        links[link].field = asm.executableAddress(atOffset: asm.patchableCall(stub))
        landReturn(back, into: behind)
    }

    /// Where a return comes to that the host predicted, with its target in rax: whether it is this one is checked here. `CodeStubs`
    /// knows the form of the check.
    /// - Parameter superblock: where the region goes on, which made the call.
    func landReturn(_ address: Int64, into superblock: Int? = nil, isCounted: Bool = true) {
        if let short = Int32(exactly: address), !function.isMovable {
            asm.cmp(.quad, .rax, imm: short)
        } else {
            if function.isMovable { loadGuestAddress(.rcx, UInt64(bitPattern: address)) } else { asm.movabs(.rcx, UInt64(bitPattern: address)) }
            asm.cmp(.quad, .rax, .rcx)
        }
        if isCounted, let counter = makeCounter(.returnMiss) {
            asm.jcc(.ne, cold(.returnMiss, counter: counter))
        } else {
            asm.jcc(.ne, to: stubs.returnMiss)
        }
        let link = makeLink(UInt64(bitPattern: address), .jump)
        // By then the address may be that of other code.
        links[link].isChecked = softBuffer != nil
        let stub = cold(.exit, payload: link)
        if let superblock { return reenter(superblock, link) }
        links[link].field = asm.executableAddress(atOffset: asm.patchableJump(stub))
    }

    // MARK: Indirect transfers

    func lowerExitIndirect(_ i: Instruction) {
        record(.observe)
        if i.hint == .return, frame != 0 {
            settleHere()
            if follow(returnOf: i) { return }
        }
        if let target = constant(i.a) {
            isTied = isTied || function.isMovable
            return jumpOut(to: UInt64(bitPattern: target))
        }
        settleHere()
        let kind: CounterSite.Kind = i.hint == .return ? .return : i.hint == .call ? .indirectCall : .jump
        let mask = targetMask(i)
        let target = use(mask.map { function.instructions[$0].a } ?? i.a)
        if i.hint == .none {
            caches.append(InlineCache(address: currentAddress))
            if isRegion { emitCases(target, of: caches.count - 1) }
        }
        emitCount(makeCounter(kind))
        if target != .rax { asm.mov(.quad, .rax, target) }
        // A return that is predicted is to an even address: where it is equal, there was no bit 0 to clear.
        if mask != nil, i.hint != .return || frame != 0 { asm.and(.quad, .rax, imm: ~1) }
        emitRestoration()
        let back = i.hint == .call ? guestAddress(i.b) : nil, behind = back.flatMap { behindCall($0) }
        if behind == nil { emitFrames() }
        switch i.hint {
        case .return: asm.ret()
        case .call:
            caches.append(InlineCache(address: currentAddress))
            emitInlineCache(caches.count - 1, isCall: back != nil)
            if let back { landReturn(back, into: behind) }
        case .none: emitInlineCache(caches.count - 1, isCall: false)
        }
    }

    /// To the guest address in rax, which mostly is what it was before. Jumps that poll, or miss, count down to the next sample.
    private func emitInlineCache(_ number: Int, isCall: Bool) {
        let back = asm.makeLabel(), polls = followedBackwards && !isCall, isSampled = isSampling && !isCall && !polls
        let fill = cold(.fillCache, payload: number, counter: makeCounter(.cacheFill))
        // Emitted behind `fill`; the cache refers to it by address.
        _ = cold(
            isSampled ? .sampledLookup : .lookup, payload: number, back: isSampled ? fill : isCall ? back : nil,
            counter: makeCounter(.cacheMiss))
        // A hit may close a loop then.
        if polls { asm.jcc(poll(), fill) }
        caches[number].target = asm.executableAddress(atOffset: asm.alignedMovabs(.rcx, InlineCache.noTarget))
        asm.cmp(.quad, .rax, .rcx)
        caches[number].miss = asm.executableAddress(atOffset: asm.patchableConditionalJump(.ne, fill))
        // Not reached before there is a target.
        let hit = isCall ? asm.patchableCall(fill) : asm.patchableJump(fill)
        caches[number].hit = asm.executableAddress(atOffset: hit)
        asm.bind(back)
    }

    // MARK: Traps and the interpreter

    func lowerTrap(_ i: Instruction) {
        record(.observe)
        emitCount(makeCounter(.trap))
        settleHere()
        // A call of the system counts as executed, what else traps does not.
        let isAtInstruction = positions.count > blockPosition && currentAddress == UInt64(bitPattern: i.immediate)
        giveBack(undone(behind: !isAtInstruction || i.trapReason == .systemCall))
        emitRestoration()
        loadGuestAddress(.rax, UInt64(bitPattern: i.immediate))
        asm.mov(.quad, RegisterMap.state(map.programCounterOffset), .rax)
        asm.movImmediate(.rax, ExitKind.trap.rawValue | UInt64(i.detail) << 3)
        asm.jmp(to: stubs.exit)
    }

    func lowerInterpretOne(_ i: Instruction) {
        record(.observe)
        spillAll(slotsChange: true)
        emitCount(makeCounter(.interpreter))
        // The interpreter counts the instruction itself.
        giveBack(undone(behind: false))
        emitRestoration()
        loadGuestAddress(.rdx, UInt64(bitPattern: i.immediate))
        asm.call(to: stubs.interpretOne)
        emitDisplacement()
        takeOff(undone(behind: true))
    }

    // MARK: Cold code

    func emitColdStubs() {
        var index = 0
        while index < coldStubs.count {
            let stub = coldStubs[index]
            currentBlock = stub.block
            asm.bind(stub.label)
            if stub.kind.isLookup { caches[stub.payload].lookup = asm.executableAddress }
            emitCount(stub.counter)
            switch stub.kind {
            case .softMiss: noteUndone(stub.undone)
            // Mostly it goes on; notes it where it does not.
            case .rangeMiss: break
            default: giveBack(stub.undone)
            }
            if stub.kind.leavesSuperblock {
                settle(stub.pending.except(stub.accepted))
                emitDeferredWrites(stub.deferred)
            }
            // What these lead to has nothing to settle any more.
            pending = PendingFloats()
            deferredSlots = 0
            switch stub.kind {
            case .go: asm.jmp(stub.back.unsafelyUnwrapped)
            case .exit: emitExitStub(stub.payload)
            case .restoreAndExit:
                emitRestoration()
                emitFrames(to: links[stub.payload].target)
                emitExitJump(stub.payload)
            case .interrupt:
                emitRestoration()
                emitExitStub(stub.payload)
            case .returnElsewhere:
                let target = Register(rawValue: stub.register).unsafelyUnwrapped
                if target != .rax { asm.mov(.quad, .rax, target) }
                asm.and(.quad, .rax, imm: ~1)
                emitRestoration()
                CodeStubs.emitInlineLookup(&asm, miss: stubs.indirectMiss)
            case .jumpAway:
                let target = Register(rawValue: stub.register).unsafelyUnwrapped
                if target != .rax { asm.mov(.quad, .rax, target) }
                asm.and(.quad, .rax, imm: ~1)
                emitRestoration()
                emitFrames()
                asm.jmp(to: stubs.indirectMiss)
            case .pollAndGo:
                asm.jcc(poll(inside: true).inverted, stub.back.unsafelyUnwrapped)
                settle(stub.pending.except(stub.pending.except(stub.accepted)))
                emitRestoration()
                emitExitStub(stub.payload)
            case .pollAndExit:
                emitRestoration()
                let exit = cold(.exit, payload: stub.payload)
                asm.jcc(poll(), exit)
                links[stub.payload].isBackward = true
                emitFrames(to: links[stub.payload].target)
                links[stub.payload].field = asm.executableAddress(atOffset: asm.patchableJump(exit))
            case .returnMiss: asm.jmp(to: stubs.returnMiss)
            case .canonicalNaN(let width):
                let destination = XMM(rawValue: stub.register).unsafelyUnwrapped
                asm.movaps(destination, asm.memory(at: stubs.address(width == .single ? .canonicalSingle : .canonicalDouble)))
                asm.jmp(stub.back.unsafelyUnwrapped)
            case .fusedNaN(let width): emitFusedNaN(stub, width)
            case .saveFlags: emitSaveFlags(stub)
            case .saturate(let width, let integer): emitSaturation(stub, width, integer)
            case .fillCache:
                asm.mov(.quad, RegisterMap.state(map.programCounterOffset), .rax)
                loadExitWord(firstCache + stub.payload, .cacheMiss)
                leave()
            case .softMiss(let flags): emitSoftMiss(stub, flags)
            case .softGroupMiss(let flags, let leave): emitSoftGroupMiss(stub, flags, leave)
            case .rangeMiss(let miss): emitRangeMiss(stub, miss)
            case .split:
                emitRestoration()
                emitFrames(to: links[stub.payload].target)
                emitExitJump(stub.payload)
            case .pageMiss(let address): emitPageMiss(address)
            case .budget(let entry): emitBudgetExit(entry)
            case .sampledLookup:
                asm.sub(.long, RegisterMap.header(\.ticks), imm: 1)
                asm.jcc(.s, stub.back.unsafelyUnwrapped)
                CodeStubs.emitInlineLookup(&asm, miss: stubs.indirectMiss)
            case .lookup:
                if let back = stub.back {
                    asm.call(to: stubs.lookup)
                    asm.jmp(back)
                } else {
                    CodeStubs.emitInlineLookup(&asm, miss: stubs.indirectMiss)
                }
            }
            index += 1
        }
    }

    private func emitExitJump(_ link: Int) {
        let exit = cold(.exit, payload: link)
        links[link].field = asm.executableAddress(atOffset: asm.patchableJump(exit))
    }

    private func emitExitStub(_ link: Int) {
        links[link].stub = asm.executableAddress
        loadExitWord(firstLink + link, .link)
        leave()
    }

    /// With an exit word in rax, by a jump that others near by leave through, too: exits are a third of all code, and rarely run.
    private func leave() {
        if let exitJump, asm.isNear(exitJump) { return asm.jmp(exitJump) }
        let here = asm.makeLabel()
        asm.bind(here)
        asm.jmp(to: stubs.exit)
        exitJump = here
    }
}
